"""Requests and answers of the control socket, as lines of JSON.

A request is `{"verb": "usage", "about": "alice", "options": {"period": "day"}}`. Its answer is one line, `{"told": …}`,
or `{"error": "a sentence", "status": 2}`, with `"complaints"` where a specification is wrong, and `"reason"` where
rights are missing (`denied`) or what is named does not exist (`unknown`). Then the connection is closed, unless its
lines before the request said otherwise:

- `{"narrow": {"scope": "read", "accounts": ["alice"], "from": "192.0.2.7"}}` takes rights away for the rest of the
  connection; nothing gives rights. `from` is where the person is who asks, for the log.
- `{"keep": true}` keeps the connection open for many requests. Each has an `"id"`, a number that its answer repeats.
  Answers may come in another order.

A request with `"body": 1234` is followed by so many bytes. The verb `events` answers with a line for each event.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from paas_isolate.control.address import is_address
from paas_isolate.control.refusal import Reason, RefusedError
from paas_isolate.control.table import Scope
from paas_isolate.errors import Complaint
from paas_isolate.exits import Exit

Reply = Mapping[str, object]
"""An answer, as JSON has it."""

_EXPECTED = 'expected {"verb": "…", "about": "…", "options": {"…": "…"}}'
_SCOPES = {scope.name.lower(): scope for scope in Scope}


class Caller(NamedTuple):
    """Who asks, and what is left of their rights: `accounts` are those they may ask about; None: no such bound.
    `address` is where they say that they come from, '' where they do not say. `is_narrowed`: a line has said so, as
    on each connection of somebody who has logged in to the page."""

    uid: int
    pid: int
    scope: Scope = Scope.ADMINISTER
    accounts: frozenset[str] | None = None
    address: str = ""
    is_narrowed: bool = False

    def narrowed(self, bounds: "Narrow") -> "Caller":
        both = [each for each in (self.accounts, bounds.accounts) if each is not None]
        return self._replace(
            scope=min(self.scope, bounds.scope),
            accounts=frozenset.intersection(*both) if both else None,
            address=self.address or bounds.address,
            is_narrowed=True,
        )

    def may_ask_about(self, account: str) -> bool:
        return self.accounts is None or account in self.accounts

    def __str__(self) -> str:
        return f"uid {self.uid}{f' from {self.address}' if self.address else ''}"


class Narrow(NamedTuple):
    scope: Scope
    accounts: frozenset[str] | None
    address: str


class Keep(NamedTuple):
    """The connection is kept open for many requests."""


class Asked(NamedTuple):
    """A request as it was written. `about` is '' where nothing is named, `body` the bytes that follow, `id` None on a
    connection that is not kept."""

    verb: str
    about: str = ""
    options: Mapping[str, str] = {}
    body: int = 0
    id: int | None = None


def read(line: bytes) -> Asked | Narrow | Keep:
    """RefusedError where it is none of these. Thousands of brackets raise RecursionError; UnicodeDecodeError is a
    ValueError."""
    try:
        request = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise RefusedError("that is no line of JSON", Exit.WRONG) from None
    if not isinstance(request, dict):
        raise RefusedError(_EXPECTED, Exit.WRONG)
    if "narrow" in request:
        return _narrow(request)
    if request == {"keep": True}:
        return Keep()
    return _asked(request)


def _asked(request: dict[str, object]) -> Asked:
    verb, about, options = request.get("verb"), request.get("about", ""), request.get("options", {})
    body, number = request.get("body", 0), request.get("id")
    if (
        request.keys() <= {"verb", "about", "options", "body", "id"}
        and isinstance(verb, str)
        and isinstance(about, str)
        and isinstance(options, dict)
        and all(isinstance(value, str) for value in options.values())
        and type(body) is int  # True is an int, too
        and body >= 0
        and (number is None or type(number) is int)
    ):
        return Asked(verb, about, options, body, number)
    raise RefusedError(_EXPECTED, Exit.WRONG)


def _narrow(request: dict[str, object]) -> Narrow:
    """What cannot be read must not leave the connection with more rights than were meant: it is refused."""
    bounds = request["narrow"]
    if len(request) == 1 and isinstance(bounds, dict) and bounds.keys() <= {"scope", "accounts", "from"}:
        scope, accounts, address = bounds.get("scope", "administer"), bounds.get("accounts"), bounds.get("from", "")
        names = isinstance(accounts, list) and all(isinstance(name, str) for name in accounts)
        if isinstance(scope, str) and scope in _SCOPES and (accounts is None or names) and is_address(address):
            return Narrow(_SCOPES[scope], None if accounts is None else frozenset(accounts), str(address))
    expected = '{"narrow": {"scope": "read|operate|administer", "accounts": ["…"], "from": "ADDRESS"}}'
    raise RefusedError(f"expected {expected}", Exit.WRONG)


def answer(reply: Reply, number: int | None = None) -> bytes:
    return _line({"told": reply}, number)


def refusal(
    words: str,
    status: int,
    number: int | None = None,
    complaints: tuple[Complaint, ...] = (),
    reason: Reason = Reason.OTHER,
) -> bytes:
    listed = {"complaints": [complaint._asdict() for complaint in complaints]} if complaints else {}
    because = {"reason": reason.value} if reason else {}
    return _line({"error": words, "status": status, **because, **listed}, number)


def event(data: Reply, number: int | None = None) -> bytes:
    return _line({"event": data}, number)


def numbered(line: bytes, number: int | None) -> bytes:
    """A line that was written without an id (by `answer` or `refusal`), with this one."""
    return line if number is None else b'{"id":%d,%s' % (number, line[1:])


def _line(reply: Reply, number: int | None) -> bytes:
    return numbered(json.dumps(reply, default=str, separators=(",", ":")).encode() + b"\n", number)
