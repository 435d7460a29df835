"""A connection to a daemon that has two accounts, alice's and bob's, and gives canned answers.

The answers of answers/ are what the commands and the daemon have printed, shortened. alice has used the machine for a
day; bob does not exist for her.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.table import BY_NAME, About, Access, Scope, checked
from paas_isolate.web.link import AskError, LinkClosedError
from paas_isolate.web.site import Password, Token, WrongError

_HERE = Path(__file__).parent / "answers"
ACCOUNTS = ("alice", "bob")
PASSWORDS = {"alice": "right", "bob": "right", "ann": "right"}
"""Of the users that may log in. ann is an administrator."""
ADMINISTRATORS = ("ann",)

Answer = Mapping[str, Any] | Exception | Callable[[str, Mapping[str, str], bytes], Mapping[str, Any]]
"""What a verb is answered, what is raised, or a function of `about`, options and body."""


def canned(name: str) -> Any:
    """What answers/NAME.json has."""
    return json.loads((_HERE / f"{name}.json").read_text())


def _history(_: str, options: Mapping[str, str], __: bytes) -> Mapping[str, Any]:
    told: dict[str, Any] = canned(f"history-{options.get('period', 'day')}")
    if wanted := options.get("metric"):
        told["metrics"] = {wanted: told["metrics"][wanted]}
    return told


def _ordered(verb: str) -> Answer:
    words = {"start": "started", "stop": "stopping", "restart": "restarting"}
    return lambda _, options, __: {"said": [f"{options['service']}: {words[verb]}"], "status": 0}


ANSWERS: Mapping[str, Answer] = {
    "ping": {"version": "1.0"},
    "me": lambda about, *_: {**canned("me"), "account": about},
    "history": _history,
    "faults": lambda *_: {"rows": canned("faults")},
    "explain": lambda *_: canned("explain"),
    "usage": lambda *_: canned("usage"),
    "logs": {"lines": ["2026-11-29 12:00:00 ready", "2026-11-29 12:00:01 GET / 200"]},
    "plan": lambda about, *_: {**canned("plan"), "account": about},
    "notices": {"said": ["mails about limits of alice are on"], "state": "on", "status": 0},
    "switch-notices": lambda _, options, __: {
        "said": [f"mails about limits of alice are {options['state']}"],
        "state": options["state"],
        "status": 0,
    },
    **{verb: _ordered(verb) for verb in ("start", "stop", "restart")},
}


class FakeLink:
    """The connection of one user. `answers` may be changed; `asked` has what was asked: verb, about, options, body."""

    def __init__(self, user: str = "alice", *, scope: Scope = Scope.ADMINISTER, suspended: bool = False) -> None:
        self.user, self.scope, self.suspended = user, scope, suspended
        self.administrator = user in ADMINISTRATORS
        self.answers: dict[str, Answer] = dict(ANSWERS)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.happened: list[dict[str, Any]] = []
        self.queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.is_closed = False

    async def ask(
        self, verb: str, about: str = "", options: Mapping[str, str] | None = None, body: bytes = b""
    ) -> dict[str, Any]:
        if self.is_closed:
            raise LinkClosedError
        if verb == "who":
            return self.who()
        about = self._permitted(verb, about, options or {})
        self.asked.append((verb, about, dict(options or {}), body))
        answer = self.answers.get(verb, AskError(f"{verb} cannot be asked yet", 1))
        if isinstance(answer, Exception):
            raise answer
        return dict(answer(about, options or {}, body) if callable(answer) else answer)

    def who(self) -> dict[str, Any]:
        return {
            "uid": 1000,
            "administrator": self.administrator,
            "account": None if self.administrator else self.user,
            "suspended": self.suspended,
            "scope": self.scope.name.lower(),
            "accounts": None,
        }

    async def events(self, after: str = "") -> AsyncIterator[dict[str, Any]]:
        """What has `happened`, after 0.0; then what is put into `queue`, until None."""
        yield {"events": self.happened if after == "0.0" else [], "last": "0000000a.1", "missing": False}
        while (event := await self.queue.get()) is not None:
            yield event
        raise LinkClosedError

    async def close(self) -> None:
        self.is_closed = True
        self.queue.put_nowait(None)

    def _permitted(self, name: str, about: str, options: Mapping[str, str]) -> str:
        """As the daemon refuses (daemon/control.py)."""
        verb = BY_NAME.get(name)
        if verb is None:
            raise AskError(f"no verb is called {name!r}", 2)
        if verb.access is Access.ADMINISTRATOR and not self.administrator:
            raise AskError("this needs an administrator", 1, reason="denied")
        if self.scope < verb.needs:
            words = f"this needs the scope {verb.needs.name.lower()}; yours is {self.scope.name.lower()}"
            raise AskError(words, 1, reason="denied")
        if self.suspended and verb.needs > Scope.READ:
            raise AskError("your account is suspended: ask your provider", 1, reason="denied")
        if verb.about is About.ACCOUNT:
            about = about or ("" if self.administrator else self.user)
            if about not in ACCOUNTS or not (self.administrator or about == self.user):
                raise AskError(f"no account is called {about!r}", 2, reason="unknown")
        try:
            checked(verb, options)
        except RefusedError as error:
            raise AskError(str(error), error.status) from None
        return about


class FakeHelper:
    """What opens connections. `links` has those that it has opened."""

    def __init__(self, tokens: Mapping[str, FakeLink] | None = None) -> None:
        self.tokens = tokens or {}
        self.links: list[FakeLink] = []
        self.make = FakeLink
        self.addresses: list[str] = []

    async def __call__(self, credentials: Password | Token, address: str) -> tuple[str, FakeLink]:
        self.addresses.append(address)
        if isinstance(credentials, Token):
            link = self.tokens.get(credentials.token)
            if link is None:
                raise WrongError("this token is not known")
        elif credentials.password != PASSWORDS.get(credentials.user, ""):
            raise WrongError("user or password is wrong")
        else:
            link = self.make(credentials.user)
        self.links.append(link)
        return link.user, link
