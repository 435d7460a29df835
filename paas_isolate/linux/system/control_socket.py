"""The control socket: the daemon's side of it, and how a command asks. See unix(7).

A request is one line of JSON, `{"verb": "me", "words": []}`; so is the answer, `{"told": {...}}` or
`{"error": "a sentence", "status": 1}`. Then the daemon closes.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

NAME = "control.sock"
MODE = 0o666
BACKLOG = 128
LONGEST = 4096
"""Bytes of a request."""
_ANSWER = 1 << 24
_KIND = socket.SOCK_STREAM | socket.SOCK_CLOEXEC
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid


class Peer(NamedTuple):
    """Who connected: the effective uid at that moment, as the kernel tells it, whoever holds the descriptor now. `pid`
    is for the log only: it may be somebody else's by now, and is 0 in another pid namespace."""

    uid: int
    pid: int


class Answer(NamedTuple):
    """What the daemon `told`; or what is wrong, and the exit status that goes with it."""

    told: dict[str, Any]
    error: str = ""
    status: int = 0


@contextmanager
def listening(run: str) -> Iterator[socket.socket]:
    """A socket in the directory `run` that all may connect to. It takes the place of one that was left behind, in one
    step: whoever connects meets the old one or the new one."""
    path = os.path.join(run, NAME)
    new = f"{path}.{os.getpid()}"
    with socket.socket(socket.AF_UNIX, _KIND | socket.SOCK_NONBLOCK) as ours:
        with suppress(FileNotFoundError):
            os.unlink(new)
        ours.bind(new)
        inode = os.lstat(new).st_ino
        try:
            os.chmod(new, MODE)
            ours.listen(BACKLOG)
            os.rename(new, path)
            yield ours
        finally:
            for name in (new, path):
                _remove(name, inode)


def place(run: str) -> tuple[int, int] | None:
    """What lies where a socket of ours does, to be compared; None where nothing does."""
    with suppress(OSError):
        found = os.lstat(os.path.join(run, NAME))
        return found.st_dev, found.st_ino
    return None


def _remove(path: str, inode: int) -> None:
    """Unless another daemon has put its own there."""
    with suppress(FileNotFoundError):
        if os.lstat(path).st_ino == inode:
            os.unlink(path)


def peer_of(connection: socket.socket) -> Peer:
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(uid, pid)


def ask(run: str, verb: str, words: Sequence[str] = (), *, seconds: float) -> Answer | None:
    """What the daemon answers within `seconds`; None where none is there, or it has other work."""
    import json  # no command that does its work itself pays for it

    request = json.dumps({"verb": verb, "words": list(words)}).encode() + b"\n"
    deadline = time.monotonic() + seconds
    try:
        with socket.socket(socket.AF_UNIX, _KIND) as to:
            to.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *divmod(int(seconds * 1e6), 10**6)))
            to.connect(os.path.join(run, NAME))  # by settimeout() a full queue would be an error, not a reason to wait
            to.settimeout(seconds)
            with suppress(BrokenPipeError):  # sent away unheard, with the reason
                to.sendall(request)
            said = json.loads(_all(to, deadline))
    except (OSError, ValueError):  # refused, missing, too late, half an answer
        return None
    return Answer(said.get("told") or {}, said.get("error", ""), said.get("status", 0))


def _all(connection: socket.socket, deadline: float) -> bytes:
    """To the end, which comes by the deadline or is a TimeoutError."""
    said = b""
    with suppress(ConnectionResetError):  # the end too, where not all that was sent has been read
        while len(said) < _ANSWER:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            if not (more := connection.recv(1 << 16)):
                break
            said += more
    return said
