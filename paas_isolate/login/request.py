"""What the web process sends to log somebody in: one line of JSON, and nothing behind it before it has the answer.

`{"user": "alice", "password": "…", "from": "192.0.2.7"}` or `{"token": "pi_…", "from": "192.0.2.7"}`. `from` is the
address of who asks, or "" where that is not known.
"""

import json
import socket
import time
from typing import NamedTuple

from paas_isolate.control.address import is_address
from paas_isolate.control.refusal import RefusedError
from paas_isolate.exits import Exit

LONGEST = 4096
"""Bytes of the line."""
PATIENCE = 5.0
"""Seconds within which it must have come."""
NAME_LONGEST = 64
"""Characters of a user's name."""

_EXPECTED = 'expected {"user": "…", "password": "…", "from": "ADDRESS"} or {"token": "…", "from": "ADDRESS"}'


class Password(NamedTuple):
    """`address` is '' or the text of an IP address."""

    user: str
    password: str
    address: str

    def __repr__(self) -> str:
        """Without the password: it would be in a traceback."""
        return f"Password({self.user!r}, …)"


class Token(NamedTuple):
    token: str
    address: str

    def __repr__(self) -> str:
        return "Token(…)"


def receive(web: socket.socket) -> Password | Token:
    """Read the line. RefusedError where it is another, too long or too late."""
    deadline = time.monotonic() + PATIENCE
    line = b""
    while b"\n" not in line:
        if len(line) > LONGEST:
            raise RefusedError(f"a login is a line of {LONGEST} bytes at the most", Exit.WRONG)
        web.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            more = web.recv(LONGEST + 1 - len(line))
        except TimeoutError:
            raise RefusedError(f"a login must come within {PATIENCE:.0f} seconds", Exit.WRONG) from None
        if not more:
            raise RefusedError("the connection has ended before the end of the line", Exit.WRONG)
        line += more
    web.settimeout(None)
    if not line.endswith(b"\n"):
        raise RefusedError("nothing may follow the line before its answer", Exit.WRONG)
    return parse(line)


def parse(line: bytes) -> Password | Token:
    """RefusedError where it is no login. UnicodeDecodeError is a ValueError; json takes lone surrogates."""
    try:
        given = json.loads(line.decode())
        json.dumps(given, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise RefusedError(_EXPECTED, Exit.WRONG) from None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise RefusedError(_EXPECTED, Exit.WRONG)
    if not is_address(given.get("from")):
        raise RefusedError("from is no IP address", Exit.WRONG)
    if given.keys() == {"token", "from"}:
        return Token(given["token"], given["from"])
    if given.keys() != {"user", "password", "from"}:
        raise RefusedError(_EXPECTED, Exit.WRONG)
    return Password(given["user"], given["password"], given["from"])


def is_user(name: str) -> bool:
    """Whether PAM may be asked for it. A name that begins with `-` would be an option of programs that modules run, and
    one with a slash a path of theirs."""
    return (
        0 < len(name) <= NAME_LONGEST and name.isprintable() and name[0] not in "-." and not any(map(name.count, "/: "))
    )
