"""The daemon's own Control behind a link: roles, scopes and forms of requests are those of the daemon."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from paas_isolate.changes.placement import Placement
from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.request import Caller, Narrow, Reply, refusal
from paas_isolate.daemon.control import Answering, Control, Customers, Later, Outcome, Request, Stream, WantsBody
from paas_isolate.daemon.event_hub import EventHub
from paas_isolate.errors import Complaint
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.limits import NO_LIMITS
from paas_isolate.web.answers import ANSWERS
from paas_isolate.web.link import AskError, LinkClosedError

ALICE, BOB, NOBODY, ADMIN = 1001, 1003, 1005, 1006
TAG = '"00112233445566778899aabbccddeeff"'

_SAMPLES: Mapping[str, object] = {
    "string": "",
    "integer": 0,
    "number": 0.5,
    "boolean": False,
    "array": [],
    "object": {},
    **dict.fromkeys(("string?", "array?", "object?")),
}


def _sold(name: str, uid: int) -> Account:
    return Account(name, name, {name: uid}, name, "/", None, NO_LIMITS, ())


_FLEET = Fleet(Host(), {"alice": _sold("alice", ALICE), "bob": _sold("bob", BOB)}, administrators=frozenset({ADMIN}))


class FakeDaemon:
    """Each verb answers the keys that the description has, and what it was asked; `answers` has what some answer
    instead, or raise. `files` are the account's files, by name. `bugs` are exceptions that no verb should raise."""

    def __init__(self) -> None:
        self.bugs: list[Exception] = []
        self.asked: list[Request] = []
        self.answers: dict[str, Callable[[Request], Reply | None]] = {"put": self._put, "file": self._file}
        self.files = {"alice": b"plan: small\n"}
        functions: dict[str, Answering] = {"who": self._who, "events": self._events}
        self.control = Control(functions, self._work, lambda: Customers(_FLEET, Placement(_FLEET)), self.bugs.append)
        self.hub = EventHub()
        self.hub.may_hear = self.control.may_hear

    def link(self, uid: int, narrow: Narrow | None = None) -> "ControlLink":
        caller = Caller(uid, 1)
        return ControlLink(self.control, caller.narrowed(narrow) if narrow else caller)

    def _who(self, request: Request) -> Reply:
        return self.control.who(request)

    def _events(self, request: Request) -> Reply:
        return self.hub.subscribe(request)

    def _work(self, request: Request) -> Reply | None:
        self.asked.append(request)
        if answer := self.answers.get(request.verb.name):
            return answer(request)
        keys = {key: _SAMPLES[kind] for key, kind in ANSWERS.get(request.verb.name, {}).items()}
        if "account" in keys:
            keys["account"] = request.about
        return {**keys, "verb": request.verb.name, "about": request.about, "options": dict(request.options)}

    def _file(self, request: Request) -> Reply:
        if request.about not in self.files:
            raise RefusedError(f"no account is called {request.about!r}", 2)
        return {**_named(request), "text": self.files[request.about].decode(), "etag": TAG}

    def _put(self, request: Request) -> Reply | None:
        written = {**_named(request), "changed": True, "conflict": False, "etag": TAG}
        if request.options.get("if-match", TAG) not in (TAG, "*"):
            return {**written, "changed": False, "conflict": True, "status": 3}
        if b"\t" in request.body:
            complaint = Complaint("accounts.d/alice.yaml", "found a tab; expected spaces", 2, 1, "limits")
            request.send(refusal("the file is wrong", 2, None, (complaint,)))
            return None
        dry_run = "dry-run" in request.options
        if not dry_run:
            self.files[request.about] = request.body
        steps = ["alice: memory.max 1G -> 2G"] if dry_run else []
        return {**written, "dry_run": dry_run, "steps": steps, "more": 0, "complaints": []}


def _named(request: Request) -> dict[str, object]:
    return {"name": request.about, "file": f"accounts.d/{request.about}.yaml"}


class ControlLink:
    def __init__(self, control: Control, caller: Caller) -> None:
        self._control, self._caller = control, caller
        self.closed = False

    @property
    def is_closed(self) -> bool:
        return self.closed

    async def ask(
        self, verb: str, about: str = "", options: Mapping[str, str] | None = None, body: bytes = b""
    ) -> dict[str, Any]:
        coming: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def send(line: bytes) -> bool:
            coming.set_result(line)
            return True

        outcome = self._outcome(verb, about, options, body, send)
        if isinstance(outcome, Later):
            return _told(await coming)
        assert isinstance(outcome, bytes), outcome
        return _told(outcome)

    async def events(self, after: str = "") -> AsyncIterator[dict[str, Any]]:
        outcome = self._outcome("events", "", {"after": after} if after else {}, b"", lambda _: True)
        if isinstance(outcome, bytes):
            _told(outcome)
        assert isinstance(outcome, Stream), outcome
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        listening = True

        def put(line: bytes) -> bool:
            lines.put_nowait(line)
            return listening

        outcome.begin(put)
        try:
            yield _told(outcome.line)
            while True:
                yield json.loads(await lines.get())["event"]
        finally:
            listening = False

    async def close(self) -> None:
        self.closed = True

    def _outcome(
        self,
        verb: str,
        about: str,
        options: Mapping[str, str] | None,
        body: bytes,
        send: Callable[[bytes], bool],
    ) -> Outcome:
        if self.closed:
            raise LinkClosedError
        line = json.dumps({"verb": verb, "about": about, "options": options or {}, "body": len(body)}).encode()
        outcome = self._control.ask(line, self._caller, send)
        return outcome.go(body, send) if isinstance(outcome, WantsBody) else outcome


def _told(line: bytes) -> dict[str, Any]:
    answer = json.loads(line)
    if "told" not in answer:
        complaints = tuple(answer.get("complaints", ()))
        raise AskError(answer["error"], answer["status"], complaints, answer.get("reason", ""))
    told: dict[str, Any] = answer["told"]
    return told
