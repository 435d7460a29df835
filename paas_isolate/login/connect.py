"""Connects to the daemon as somebody else, and says there what the connection may do.

Only the effective uid and gid change, and only for connect(2): the daemon reads them there (unix(7), SO_PEERCRED). The
real and the saved uid stay root's, so that the user can send this process no signal (kill(2)) and cannot look into it
(ptrace(2)). To the daemon it is a process of root's that acts as a user for a while, and is not moved.
"""

import json
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

from paas_isolate.control.refusal import RefusedError
from paas_isolate.exits import Exit
from paas_isolate.linux.system import control_socket

PATIENCE = 20.0
"""Seconds for the connection, and for each answer: the daemon may be within a pass."""
_ANSWER = 1 << 16
"""Bytes of an answer that are read."""


class Identity(NamedTuple):
    """Who is to ask the daemon. `bounds` are the values of `narrow` (control/request.py)."""

    name: str
    uid: int
    gid: int
    bounds: Mapping[str, object]


def connect(run: str, identity: Identity) -> tuple[socket.socket, dict[str, Any]]:
    """A kept connection to the daemon whose socket is in `run`, and what the daemon says of who asks there (the verb
    `who`). RefusedError where the daemon does not answer, or has nothing to tell to this user."""
    try:
        daemon = _connected(run, identity.uid, identity.gid)
    except OSError:
        raise RefusedError("the daemon of paas-isolate does not answer: try again", Exit.BUSY) from None
    try:
        _send(daemon, {"narrow": identity.bounds}, {"keep": True})
        who = _asked(daemon, "who")
        if not (who["administrator"] or who["account"]):
            _asked(daemon, "me")  # the daemon says why not
        return daemon, who
    except BaseException as error:
        daemon.close()
        if isinstance(error, OSError | ValueError | KeyError):
            raise RefusedError("the daemon of paas-isolate does not answer: try again", Exit.BUSY) from None
        raise


def _connected(run: str, uid: int, gid: int) -> socket.socket:
    os.setgroups([])
    os.setresgid(-1, gid, -1)
    try:
        os.setresuid(-1, uid, -1)
        try:
            return control_socket.connected(run, PATIENCE)
        finally:
            os.setresuid(-1, 0, -1)
    finally:
        os.setresgid(-1, 0, -1)


def _asked(daemon: socket.socket, verb: str) -> dict[str, Any]:
    """What the daemon tells. RefusedError with its words where it refuses."""
    _send(daemon, {"verb": verb, "id": 0})
    line = b""
    while not line.endswith(b"\n"):
        more = daemon.recv(_ANSWER)
        if not more or len(line) > _ANSWER:
            raise ConnectionError("the daemon has not answered")
        line += more
    answer = json.loads(line)
    if "error" in answer:
        raise RefusedError(answer["error"], answer["status"])
    told: dict[str, Any] = answer["told"]
    return told


def _send(daemon: socket.socket, *lines: Mapping[str, object]) -> None:
    daemon.sendall(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
