"""The way into a guest: ssh with the image's own key, and nothing of the caller's ssh configuration."""

import fcntl
import shlex
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "127.0.0.1"
# The script is read to its end before it runs, or its first `cat` or `ssh` would eat the rest of it.
SCRIPT_SHELL = ["bash", "-c", 'script=$(cat); exec </dev/null; eval "$script"']


@dataclass(frozen=True)
class Way:
    port: int
    key: Path
    control: Path

    def ready(self, remote: str, *, user: str = "root", fresh: bool = False) -> list[str]:
        """The command line, once what it needs is there.

        Root's commands share one connection, as a login costs a second in an emulated guest. A customer's never
        do: PAM opens the session, and places the login, once for each connection.
        """
        shared = user == "root" and not fresh and self.connect()
        return [*self._argv(user, shared=shared), "-T", ADDRESS, "--", remote]

    def login(self, user: str) -> list[str]:
        return [*self._argv(user, shared=False), ADDRESS]

    def _argv(self, user: str, *, shared: bool) -> list[str]:
        return ["ssh", *self._options(shared=shared), "-p", str(self.port), "-l", user]

    def _options(self, *, shared: bool) -> list[str]:
        path = str(self.control) if shared else "none"
        return [
            *("-F", "/dev/null", "-i", str(self.key), "-S", path),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            # Every build makes new host keys, and the way leads to this machine and nowhere else.
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=60", "-o", "ServerAliveCountMax=10"),
        ]

    def connect(self) -> bool:
        """Makes the shared connection, unless it is there; two callers at once make one."""
        with self.control.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._is_connected() or self._master(60) == 0

    def _is_connected(self) -> bool:
        return self.control.exists() and self._control("check") == 0

    def disconnect(self) -> None:
        if self.control.exists():
            self._control("exit")
        self.control.unlink(missing_ok=True)

    def _control(self, word: str) -> int:
        line = ["ssh", "-F", "/dev/null", "-S", str(self.control), "-O", word, ADDRESS]
        return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True).returncode

    def _master(self, patience: float) -> int:
        self.control.unlink(missing_ok=True)
        line = [*self._argv("root", shared=True), "-M", "-fN", ADDRESS]
        # It stays behind in the background: it must hold none of our caller's pipes open.
        quiet = subprocess.DEVNULL
        try:
            return subprocess.run(line, stdin=quiet, stdout=quiet, stderr=quiet, timeout=patience).returncode
        except subprocess.TimeoutExpired:
            return 255

    def answers(self) -> bool:
        """Does an sshd speak? qemu accepts the connection long before the guest does."""
        try:
            with socket.create_connection((ADDRESS, self.port), timeout=3) as door:
                return door.recv(4) == b"SSH-"
        except OSError:
            return False


def command(argv: Sequence[str] | None, script: str | bytes | None, timeout: float | None) -> tuple[str, bytes]:
    """What the guest's shell is told, and what goes to its standard input."""
    if (argv is None) == (script is None):
        raise ValueError("either a command or a script")
    line = list(argv) if argv is not None else SCRIPT_SHELL
    if timeout is not None:
        # In the guest: an ssh client that is killed here leaves its command running there.
        line = ["timeout", "--kill-after=10", str(timeout), *line]
    text = script.encode() if isinstance(script, str) else script or b""
    return shlex.join(line), text


def free_port() -> int:
    with socket.socket() as door:
        door.bind((ADDRESS, 0))
        port: int = door.getsockname()[1]
        return port
