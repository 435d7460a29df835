"""The control socket: how the daemon listens, and how a command asks it. See unix(7).

What is written there is described in control/request.py.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

NAME = "control.sock"
MODE = 0o666
BACKLOG = 128
LONGEST = 4096
"""Bytes of a request."""
_ANSWER = 1 << 24
"""Bytes of an answer that are read."""
_KIND = socket.SOCK_STREAM | socket.SOCK_CLOEXEC
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid


class Peer(NamedTuple):
    """The process that connected (unix(7), SO_PEERCRED). `uid` is its effective uid at connect(2), even when another
    process holds the descriptor now. `pid` is for the log only: it may be reused by now, and is 0 for a process of
    another pid namespace."""

    uid: int
    pid: int


class Answer(NamedTuple):
    """The daemon's answer: `told`, or what is wrong as a sentence, with the command's exit status."""

    told: dict[str, Any]
    error: str = ""
    status: int = 0


@contextmanager
def listening(run: str) -> Iterator[socket.socket]:
    """A non-blocking, listening socket in the directory `run` while the block lasts. All users may connect. It replaces
    a socket that was left there in one step, so that a client meets the old one or the new one. OSError when it cannot
    be made."""
    path = os.path.join(run, NAME)
    new = f"{path}.{os.getpid()}"
    with socket.socket(socket.AF_UNIX, _KIND | socket.SOCK_NONBLOCK) as server:
        with suppress(FileNotFoundError):
            os.unlink(new)
        server.bind(new)
        inode = os.lstat(new).st_ino
        try:
            os.chmod(new, MODE)
            server.listen(BACKLOG)
            os.rename(new, path)
            yield server
        finally:
            for name in (new, path):
                _remove(name, inode)


def place(run: str) -> tuple[int, int] | None:
    """Device and inode of what is at the socket's path, to see whether it was replaced; None when nothing is there."""
    with suppress(OSError):
        status = os.lstat(os.path.join(run, NAME))
        return status.st_dev, status.st_ino
    return None


def _remove(path: str, inode: int) -> None:
    """Unless another daemon has put its own socket there."""
    with suppress(FileNotFoundError):
        if os.lstat(path).st_ino == inode:
            os.unlink(path)


def peer_of(connection: socket.socket) -> Peer:
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(uid, pid)


def ask(
    run: str, verb: str, options: Mapping[str, str] | None = None, *, about: str = "", seconds: float
) -> Answer | None:
    """The daemon's answer. None when no daemon listens, or when it does not answer within `seconds`."""
    import json  # commands that do not ask the daemon do not pay for it

    request = json.dumps({"verb": verb, "about": about, "options": options or {}}).encode() + b"\n"
    deadline = time.monotonic() + seconds
    try:
        with connected(run, seconds) as client:
            with suppress(BrokenPipeError):  # the daemon has refused without reading; its answer says why
                client.sendall(request)
            answer = json.loads(_read_all(client, deadline))
    except (OSError, ValueError):  # refused, no socket, too late, or cut off
        return None
    return Answer(answer.get("told") or {}, answer.get("error", ""), answer.get("status", 0))


def connected(run: str, seconds: float) -> socket.socket:
    """A connection to the daemon, with this timeout. OSError when it does not accept within `seconds`."""
    client = socket.socket(socket.AF_UNIX, _KIND)
    try:
        timeout = struct.pack("@ll", *divmod(int(seconds * 1e6), 10**6))  # struct timeval
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        client.connect(os.path.join(run, NAME))  # with settimeout() a full backlog would be an error at once
        client.settimeout(seconds)
    except BaseException:
        client.close()
        raise
    return client


def _read_all(connection: socket.socket, deadline: float) -> bytes:
    """Read to the end. TimeoutError when it does not come before the deadline."""
    data = b""
    with suppress(ConnectionResetError):  # the end as well: the daemon closed without reading all that was sent
        while len(data) < _ANSWER:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            if not (more := connection.recv(1 << 16)):
                break
            data += more
    return data
