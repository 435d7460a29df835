"""Refused logins to the page: who may report them, who hears of them, and how many are told."""

import json
from typing import Any

import pytest

from paas_isolate.changes.placement import Placement
from paas_isolate.control.logins import KIND, NAME_LONGEST, WORDS, Refusal, RefusedLogin, refused_login
from paas_isolate.control.refusal import RefusedError
from paas_isolate.control.request import Caller, Narrow
from paas_isolate.control.table import BY_NAME, VERBS, Scope, checked
from paas_isolate.daemon.control import Control, Customers, Request
from paas_isolate.daemon.event_hub import EventHub
from paas_isolate.daemon.refused_logins import TOLD, RefusedLogins
from paas_isolate.login.password import Verdict
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.limits import NO_LIMITS
from paas_isolate.web.pages.administrator.machine import KINDS

VERB = BY_NAME["login-refused"]
ALICE, ADMIN = 1001, 1006
FLEET = Fleet(
    Host(),
    {"alice": Account("alice", "alice", {"alice": ALICE}, "alice", "/", None, NO_LIMITS, ())},
    administrators=frozenset({ADMIN}),
)
ODD = ("alice\nroot: ok", "\x1b[2Jalice", "a\u202ecila", "<script>", "a" * 5000, "\udcff\udcfe", "Zoë", "'; --", "")


def heard(*logins: RefusedLogin, at: float = 0.0) -> tuple[RefusedLogins, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []

    def publish(kind: str, account: str, sentence: str, **data: object) -> None:
        events.append({"kind": kind, "account": account, "sentence": sentence, **data})

    made = RefusedLogins(publish, lambda: at)
    for login in logins:
        made.hear(login)
    return made, events


def test_it_says_who_from_where_and_why() -> None:
    _, (event,) = heard(RefusedLogin(Refusal.WRONG, "alice", "192.0.2.7"))
    assert event == {
        "kind": KIND,
        "account": "",
        "sentence": "a login of alice from 192.0.2.7 was refused: wrong password",
        "user": "alice",
        "why": "wrong",
        "untold": 0,
        "from": "192.0.2.7",
    }
    _, (unknown,) = heard(RefusedLogin(Refusal.UNKNOWN))
    assert unknown["sentence"] == "a login was refused: there is no such user"


def test_a_flood_is_counted_and_pushes_out_nothing() -> None:
    now = [0.0]
    events: list[str] = []
    made = RefusedLogins(lambda kind, account, sentence, **data: events.append(sentence), lambda: now[0])
    for _ in range(1000):
        made.hear(RefusedLogin(Refusal.WRONG, "alice"))
    assert len(events) == TOLD.burst
    now[0] = 61
    made.hear(RefusedLogin(Refusal.WRONG, "bob"))
    made.hear(RefusedLogin(Refusal.WRONG, "bob"))
    assert events[int(TOLD.burst) :] == ["a login of bob was refused: wrong password; 980 more before it"]


@pytest.mark.parametrize("user", ODD)
def test_a_name_is_harmless_and_the_table_takes_it(user: str) -> None:
    options = RefusedLogin(Refusal.WRONG, user, "2001:db8::7").options()
    checked(VERB, options)
    login = refused_login(json.loads(json.dumps(options)))
    assert len(login.user) <= NAME_LONGEST
    assert str(login).isprintable()
    _, (event,) = heard(login)
    assert "\n" not in event["sentence"] and len(event["sentence"]) < 250


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"why": "because"},
        {"why": "wrong", "user": "a\nb"},
        {"why": "wrong", "user": "a" * (NAME_LONGEST + 1)},
        {"why": "wrong", "from": "a host"},
        {"why": "wrong", "password": "x"},
    ],
)
def test_other_options_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(RefusedError):
        checked(VERB, options)


def test_what_is_no_address_is_left_out() -> None:
    assert refused_login({"why": "wrong", "from": "1:2:3:...:"}).address == ""
    assert refused_login({"why": "wrong", "from": "::1"}).address == "::1"


def test_each_verdict_and_each_refusal_has_words() -> None:
    assert WORDS.keys() == {*Refusal}
    assert {verdict.name.lower() for verdict in Verdict} - {"right"} < {*Refusal}
    assert KIND in KINDS


@pytest.mark.parametrize(
    ("caller", "allowed"),
    [
        (Caller(0, 1), True),
        (Caller(0, 1).narrowed(Narrow(Scope.ADMINISTER, None, "")), False),  # a token's
        (Caller(0, 1).narrowed(Narrow(Scope.READ, None, "192.0.2.7")), False),
        (Caller(ADMIN, 1), False),
        (Caller(ALICE, 1), False),
        (Caller(1007, 1), False),
    ],
)
def test_only_the_helper_reports(caller: Caller, allowed: bool) -> None:
    asked: list[Request] = []
    bugs: list[Exception] = []
    control = Control(
        {"login-refused": lambda request: asked.append(request) or {}},  # type: ignore[func-returns-value]
        lambda _: {},
        lambda: Customers(FLEET, Placement(FLEET)),
        bugs.append,
    )
    line = json.dumps({"verb": "login-refused", "options": {"why": "wrong", "user": "alice"}}).encode()
    answer = control.ask(line, caller, lambda _: False)
    assert isinstance(answer, bytes)
    assert (len(asked), not bugs) == (allowed, True)
    if not allowed:
        assert json.loads(answer)["reason"] == "denied"
    unknown = control.ask(b'{"verb": "x"}', caller, lambda _: False)
    assert isinstance(unknown, bytes)
    assert b"login-refused" not in unknown


def test_customers_hear_nothing_of_it() -> None:
    hub = EventHub()
    control = Control({}, lambda _: {}, lambda: Customers(FLEET, Placement(FLEET)), lambda _: None)
    hub.may_hear = control.may_hear
    RefusedLogins(hub.publish).hear(RefusedLogin(Refusal.WRONG, "alice", "192.0.2.7"))

    def told(caller: Caller) -> int:
        request = Request(BY_NAME["events"], caller, caller.uid == ALICE, "", {"after": "0.0"}, None)
        events = hub.subscribe(request)["events"]
        assert isinstance(events, list)
        return len(events)

    assert told(Caller(0, 1)) == told(Caller(ADMIN, 1)) == 1
    assert told(Caller(ALICE, 1)) == 0
    assert told(Caller(0, 1).narrowed(Narrow(Scope.READ, frozenset({"alice"}), ""))) == 0


def test_the_interface_has_no_path_for_it() -> None:
    assert VERB not in VERBS
    assert VERB.path == ""
