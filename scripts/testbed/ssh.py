"""ssh into a guest: with the image's own key, and without the caller's ssh configuration."""

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
        """The command line of ssh; makes the shared connection where it is used.

        Root's commands share one connection, as a login takes a second in an emulated guest. Those of a customer do
        not: PAM opens a session, and the module places it, once a connection.
        """
        shared = user == "root" and not fresh and self.connect()
        return [*self._argv(user, shared=shared), "-T", ADDRESS, "--", remote]

    def login(self, user: str) -> list[str]:
        return [*self._argv(user, shared=False), ADDRESS]

    def forward(self, port: int) -> list[str]:
        """The command line that has this port of the guest's at ours, as long as it runs."""
        return [*self._argv("root", shared=False), "-N", "-L", f"{ADDRESS}:{port}:{ADDRESS}:{port}", ADDRESS]

    def _argv(self, user: str, *, shared: bool) -> list[str]:
        return ["ssh", *self._options(shared=shared), "-p", str(self.port), "-l", user]

    def _options(self, *, shared: bool) -> list[str]:
        path = str(self.control) if shared else "none"
        return [
            *("-F", "/dev/null", "-i", str(self.key), "-S", path),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            # Every image has new host keys, and the connection does not leave this machine.
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
            *("-o", "ConnectTimeout=60", "-o", "ServerAliveInterval=60", "-o", "ServerAliveCountMax=10"),
        ]

    def connect(self) -> bool:
        """Whether there is a shared connection; makes it where there is none, once for two callers at once."""
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
        # It stays in the background, and must not hold the caller's pipes open.
        quiet = subprocess.DEVNULL
        try:
            return subprocess.run(line, stdin=quiet, stdout=quiet, stderr=quiet, timeout=patience).returncode
        except subprocess.TimeoutExpired:
            return 255

    def answers(self) -> bool:
        """Whether sshd answers: qemu accepts connections long before the guest does."""
        try:
            with socket.create_connection((ADDRESS, self.port), timeout=3) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False


def command(argv: Sequence[str] | None, script: str | bytes | None, timeout: float | None) -> tuple[str, bytes]:
    """A line for the guest's shell, and its standard input. ValueError unless either argv or script is given."""
    if (argv is None) == (script is None):
        raise ValueError("either a command or a script")
    line = list(argv) if argv is not None else SCRIPT_SHELL
    if timeout is not None:
        # In the guest, as killing the ssh client here would leave the command running there.
        line = ["timeout", "--kill-after=10", str(timeout), *line]
    text = script.encode() if isinstance(script, str) else script or b""
    return shlex.join(line), text


def free_port() -> int:
    with socket.socket() as server:
        server.bind((ADDRESS, 0))
        port: int = server.getsockname()[1]
        return port
