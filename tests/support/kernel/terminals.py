"""A terminal of root's, and commands on it."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tests.support.waiting import wait_for

WINDOW = (40, 123)
"""Lines and columns of the terminal."""


class Terminal:
    """`command` is the leader of a session whose controlling terminal it is; `streams`: which descriptors it is, the
    others being what the test has there."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], *, given: Mapping[int, int] | None = None
    ) -> None:
        self._command, self._env = list(command), dict(env)
        self._given = dict(given or {})
        self.said = ""

    def __enter__(self) -> "Terminal":
        self.master, self._slave = pty.openpty()
        self.name = os.ttyname(self._slave)
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", *WINDOW, 0, 0))
        self.before = termios.tcgetattr(self._slave)
        self.pid = os.fork()
        if not self.pid:
            self._become()
        os.set_blocking(self.master, False)
        return self

    def _become(self) -> None:
        try:
            for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):  # as nohup and a shell's & leave them
                signal.signal(ignored, signal.SIG_DFL)
            os.setsid()
            fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(self._given.get(fd, self._slave), fd)
            os.closerange(3, 4096)
            os.execvpe(self._command[0], self._command, self._env)
        finally:
            os._exit(99)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self.close()

    def close(self) -> None:
        """The window is shut."""
        for fd in (self.master, self._slave):
            if fd >= 0:
                os.close(fd)
        self.master = self._slave = -1

    def type(self, text: str, seconds: float = 15) -> None:
        left = text.encode()

        def typed() -> bool:
            nonlocal left
            with suppress(BlockingIOError):
                left = left[os.write(self.master, left) :]
            return not left

        wait_for(typed, what="somebody reads what is typed", deadline=seconds)

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def settings(self) -> list[object]:
        return termios.tcgetattr(self._slave)

    def read(self) -> str:
        """All that was said until now."""
        while select.select([self.master], [], [], 0.02)[0]:
            try:
                more = os.read(self.master, 65536)
            except OSError:
                break
            self.said += more.decode(errors="replace")
        return self.said

    def until(self, text: str, seconds: float = 15) -> str:
        wait_for(lambda: text in self.read(), what=lambda: f"{text!r} after {self.said[-500:]!r}", deadline=seconds)
        return self.said

    def status(self, seconds: float = 15) -> int:
        """Waits for the end: as waitpid(2) tells it."""

        def ended() -> tuple[int, int] | None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if self.master >= 0:
                self.read()
            return (pid, status) if pid else None

        _, status = wait_for(ended, what=lambda: f"it ends after {self.said[-500:]!r}", deadline=seconds)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
