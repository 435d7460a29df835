"""Who may ask the daemon for what, and what is answered: without a socket or a daemon."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from paas_isolate.changes.placement import Placement
from paas_isolate.daemon.control import Access, Caller, Control, Customers, RefusedError, Reply, Request, Scope, Verb
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.limits import NO_LIMITS

ALICE, SECOND, BOB, EXEMPT, NOBODY, ADMIN, SYSTEM = 1001, 1002, 1003, 1004, 1005, 1006, 33
Ask = Callable[..., dict[str, Any]]


def sold(name: str, **uids: int) -> Account:
    return Account(name, name, uids, name, "/", None, NO_LIMITS, ())


FLEET = Fleet(
    Host(),
    {"inn": sold("inn", alice=ALICE, second=SECOND, boss=EXEMPT), "bob": sold("bob", bob=BOB, www=SYSTEM)},
    exempt=frozenset({EXEMPT}),
    administrators=frozenset({ADMIN, BOB}),
)


def told(asked: Request) -> Reply:
    return {"account": asked.about and asked.about[1].name, "words": asked.words}


def refuse(asked: Request) -> Reply:
    raise RefusedError(f"no service of yours is called {asked.words[0]!r}", 2)


def broken(_: Request) -> Reply:
    raise KeyError("a bug")


VERBS = (
    Verb("ping", Access.ANYBODY, Scope.READ, told),
    Verb("me", Access.OWNER, Scope.READ, told),
    Verb("restart", Access.OWNER, Scope.OPERATE, refuse),
    Verb("reconcile", Access.ADMINISTRATOR, Scope.ADMINISTER, told),
    Verb("broken", Access.ANYBODY, Scope.READ, broken),
    Verb("later", Access.ANYBODY, Scope.READ, lambda asked: None, patience=60),
)
BUGS: list[Exception] = []


@pytest.fixture
def ask() -> Ask:
    control = Control(VERBS, lambda: Customers(FLEET, Placement(FLEET)), BUGS.append)

    def one(uid: int, verb: str, *words: str, narrow: Sequence[object] = ()) -> dict[str, Any]:
        caller = Caller(uid, 1)
        for bounds in narrow:
            narrowed = control.ask(json.dumps({"narrow": bounds}).encode(), caller, lambda _: None)
            assert isinstance(narrowed, Caller)
            caller = narrowed
        line = control.ask(json.dumps({"verb": verb, "words": words}).encode(), caller, lambda _: None)
        assert isinstance(line, bytes)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        said: dict[str, Any] = json.loads(line)
        return said

    return one


@pytest.mark.parametrize(("uid", "name"), [(ALICE, "inn"), (SECOND, "inn"), (BOB, "bob")])
def test_a_user_asks_about_the_own_account(ask: Ask, uid: int, name: str) -> None:
    assert ask(uid, "me") == {"told": {"account": name, "words": []}}


@pytest.mark.parametrize(
    ("uid", "verb", "error"),
    [
        (EXEMPT, "me", "you are exempt"),
        (NOBODY, "me", "you have no account"),
        (SYSTEM, "me", "you have no account"),
        (ALICE, "reconcile", "this needs an administrator"),
        (NOBODY, "reconcile", "this needs an administrator"),
        (0, "me", "an administrator has no account"),
        (ALICE, "sudo", "there are: ping, me, restart, broken, later"),
        (0, "sudo", "there are: ping, me, restart, reconcile,"),
    ],
)
def test_a_refused_request_says_why(ask: Ask, uid: int, verb: str, error: str) -> None:
    assert error in ask(uid, verb)["error"]


@pytest.mark.parametrize("verb", ["me", "restart", "reconcile", "ping"])
def test_other_accounts_look_like_none(ask: Ask, verb: str) -> None:
    """Of an account that there is and of one that there is not, the same but for the word itself."""
    for words in (("bob",), ("bob/web",), ("bob/", "--remove")):
        there = json.dumps(ask(ALICE, verb, *words))
        not_there = json.dumps(ask(ALICE, verb, *(word.replace("bob", "rob") for word in words)))
        assert there.replace("bob", "rob") == not_there


def test_words_that_follow(ask: Ask) -> None:
    assert ask(ALICE, "me", "web")["told"] == {"account": "inn", "words": ["web"]}
    assert ask(ALICE, "me", "inn/web", "-f")["told"] == {"account": "inn", "words": ["web", "-f"]}
    assert ask(0, "me", "bob/web", "-f")["told"] == {"account": "bob", "words": ["web", "-f"]}
    assert ask(0, "me", "bob")["told"] == {"account": "bob", "words": []}
    assert ask(0, "reconcile", "bob", "--remove")["told"] == {"account": None, "words": ["bob", "--remove"]}


def test_a_bug_goes_into_the_log_and_not_to_the_customer(ask: Ask) -> None:
    BUGS.clear()
    assert ask(ALICE, "broken") == {"error": "an error of paas-isolate's own; the log has it", "status": 1}
    assert [type(bug) for bug in BUGS] == [KeyError]


def test_before_the_first_pass_no_account_is_known() -> None:
    control = Control(VERBS, lambda: None, BUGS.append)
    line = control.ask(b'{"verb": "me"}', Caller(ALICE, 1), lambda _: None)
    assert isinstance(line, bytes)
    assert json.loads(line)["status"] == 75


def test_what_comes_later_says_how_late() -> None:
    control = Control(VERBS, lambda: None, BUGS.append)
    assert control.ask(b'{"verb": "later"}', Caller(ALICE, 1), lambda _: None) == 60


def test_an_administrator_asks_as_root_does(ask: Ask) -> None:
    assert ask(ADMIN, "me", "inn")["told"] == {"account": "inn", "words": []}
    assert ask(ADMIN, "reconcile")["told"] == {"account": None, "words": []}


def test_no_users_of_an_account_is_an_administrator(ask: Ask) -> None:
    """The account may have been made after the last full pass."""
    assert ask(BOB, "reconcile")["error"] == "this needs an administrator"
    assert ask(BOB, "me", "inn")["told"]["account"] == "bob"


READ_INN = {"scope": "read", "accounts": ["inn"]}


@pytest.mark.parametrize("uid", [0, ADMIN])
def test_a_narrow_connection_has_fewer_rights(ask: Ask, uid: int) -> None:
    assert ask(uid, "me", "inn", narrow=[READ_INN])["told"] == {"account": "inn", "words": []}
    assert "no account is called" in ask(uid, "me", "bob", narrow=[READ_INN])["error"]
    assert ask(uid, "restart", "inn/web", narrow=[READ_INN])["error"] == "this needs the scope operate; yours is read"
    assert "needs the scope" in ask(uid, "reconcile", narrow=[{"scope": "operate"}])["error"]
    assert "are only some" in ask(uid, "reconcile", narrow=[{"accounts": ["inn"]}])["error"]


def test_a_customers_narrow_connection_has_fewer_rights(ask: Ask) -> None:
    assert ask(ALICE, "me", narrow=[READ_INN])["told"]["account"] == "inn"
    assert "not one of those" in ask(ALICE, "me", narrow=[{"accounts": ["bob"]}])["error"]
    assert "needs the scope" in ask(ALICE, "restart", "web", narrow=[{"scope": "read"}])["error"]


def test_narrowing_never_gives_rights_back(ask: Ask) -> None:
    wider = [READ_INN, {"scope": "administer", "accounts": ["inn", "bob"]}, {}]
    assert "no account is called" in ask(0, "me", "bob", narrow=wider)["error"]
    assert "needs the scope" in ask(0, "restart", "inn/web", narrow=wider)["error"]
    assert ask(ALICE, "reconcile", narrow=[{"scope": "administer"}])["error"] == "this needs an administrator"


@pytest.mark.parametrize(
    "line",
    [
        {"narrow": None},
        {"narrow": []},
        {"narrow": {"scope": "root"}},
        {"narrow": {"scope": ["read"]}},
        {"narrow": {"scope": {}}},
        {"narrow": {"accounts": "inn"}},
        {"narrow": {"accounts": [1]}},
        {"narrow": {"account": ["inn"]}},
        {"narrow": {"scope": "read"}, "verb": "ping"},
    ],
)
def test_what_cannot_be_read_as_narrow_is_refused(line: object) -> None:
    """Else the connection would go on with all its rights."""
    control = Control(VERBS, lambda: Customers(FLEET, Placement(FLEET)), BUGS.append)
    answer = control.ask(json.dumps(line).encode(), Caller(0, 1), lambda _: None)
    assert isinstance(answer, bytes)
    assert json.loads(answer)["status"] == 2
