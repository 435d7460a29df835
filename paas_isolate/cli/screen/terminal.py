"""The terminal while top runs: keys without Enter, and signals as events. At every end it is as it was before."""

import os
import select
import signal
import termios
import tty
from types import FrameType, TracebackType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CAUGHT = (*_ENDING, signal.SIGWINCH, signal.SIGTSTP)
_MOMENT = 0.03
"""Seconds that the rest of an escape sequence may take: over ssh one may come in two parts."""


class Terminal:
    """The terminal `descriptor`. A context manager: leaving it gives back modes and signal handlers, also where the
    terminal is gone. OSError or termios.error where it is none."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.signal = 0
        """The signal that asks for the end; 0: none. SIGTSTP: the shell is to have the terminal for a while."""

    def __enter__(self) -> "Terminal":
        self._modes = termios.tcgetattr(self._descriptor)
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._caught) for number in _CAUGHT}
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._modes)
        except (OSError, termios.error):
            pass  # it is gone
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._wakeup)
            os.close(self._read)
            os.close(self._write)

    def _caught(self, number: int, _: FrameType | None) -> None:
        if number != signal.SIGWINCH:
            self.signal = number

    def wait(self, seconds: float) -> bytes | None:
        """What was typed, b"" after so many seconds or when the window has another size, None at the end: `signal` says
        which, 0 for a terminal that is gone."""
        if self.signal:
            return None
        ready, _, _ = select.select([self._descriptor, self._read], [], [], max(0.0, seconds))
        if self._read in ready:
            os.read(self._read, 64)
        if self.signal:
            return None
        if self._descriptor not in ready:
            return b""
        typed = self._typed()
        if (
            typed
            and typed.endswith((b"\x1b", b"\x1b[", b"\x1bO"))
            and select.select([self._descriptor], [], [], _MOMENT)[0]
        ):
            typed += self._typed()
        return typed or None

    def _typed(self) -> bytes:
        try:
            return os.read(self._descriptor, 256)
        except OSError:
            return b""
