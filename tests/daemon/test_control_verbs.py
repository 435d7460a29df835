"""Who may ask the daemon for what, and what is answered: without a socket or a daemon."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from paas_isolate.changes.placement import Placement
from paas_isolate.daemon.control import Access, Control, Customers, RefusedError, Reply, Request, Verb
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.limits import NO_LIMITS

ALICE, SECOND, BOB, EXEMPT, NOBODY, SYSTEM = 1001, 1002, 1003, 1004, 1005, 33
Ask = Callable[..., dict[str, Any]]


def sold(name: str, **uids: int) -> Account:
    return Account(name, name, uids, name, "/", None, NO_LIMITS, ())


FLEET = Fleet(
    Host(),
    {"inn": sold("inn", alice=ALICE, second=SECOND, boss=EXEMPT), "bob": sold("bob", bob=BOB, www=SYSTEM)},
    exempt=frozenset({EXEMPT}),
)


def told(asked: Request) -> Reply:
    return {"account": asked.about and asked.about[1].name, "words": asked.words}


def refuse(asked: Request) -> Reply:
    raise RefusedError(f"no service of yours is called {asked.words[0]!r}", 2)


def broken(_: Request) -> Reply:
    raise KeyError("a bug")


VERBS = (
    Verb("ping", Access.ANYBODY, told),
    Verb("me", Access.OWNER, told),
    Verb("restart", Access.OWNER, refuse),
    Verb("reconcile", Access.ROOT, told),
    Verb("broken", Access.ANYBODY, broken),
    Verb("later", Access.ANYBODY, lambda asked: None, patience=60),
)
BUGS: list[Exception] = []


@pytest.fixture
def ask() -> Ask:
    control = Control(VERBS, lambda: Customers(FLEET, Placement(FLEET)), BUGS.append)

    def one(uid: int, verb: str, *words: str) -> dict[str, Any]:
        line = control.ask(json.dumps({"verb": verb, "words": words}).encode(), uid, 1, lambda _: None)
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
        (ALICE, "reconcile", "this needs root"),
        (NOBODY, "reconcile", "this needs root"),
        (0, "me", "root has no account of its own"),
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
    line = control.ask(b'{"verb": "me"}', ALICE, 1, lambda _: None)
    assert isinstance(line, bytes)
    assert json.loads(line)["status"] == 75


def test_what_comes_later_says_how_late() -> None:
    control = Control(VERBS, lambda: None, BUGS.append)
    assert control.ask(b'{"verb": "later"}', ALICE, 1, lambda _: None) == 60
