"""Logins to the page, to a running daemon: it sees the user's uid, and a line of the web process gives no right."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.source import tokens
from tests.support.kernel.control import ALICE
from tests.support.kernel.page_logins import PageLogins, login, receive, send
from tests.support.kernel.running_daemon import RunningDaemon, outside

pytestmark = pytest.mark.kernel


@pytest.fixture
def page(daemon: RunningDaemon, run: Path) -> Iterator[PageLogins]:
    with tempfile.TemporaryDirectory() as place:
        logins = PageLogins(Path(place), ALICE)
        logins.run = run
        yield logins


def test_a_customer_asks_as_who_they_are(page: PageLogins, daemon: RunningDaemon) -> None:
    with page.logged_in() as (web, told, _):
        assert told["told"] == {
            "user": "alice",
            "uid": ALICE,
            "administrator": False,
            "account": "alice",
            "suspended": False,
            "scope": "administer",
            "accounts": None,
        }
        send(web, {"verb": "me", "id": 1})
        assert receive(web)["told"]["account"] == "alice"
        send(web, {"verb": "me", "about": "bob", "id": 2})
        assert "no account is called 'bob'" in receive(web)["error"]
        assert outside(daemon.host, ALICE) == []


@pytest.mark.hostile
def test_no_line_of_the_web_process_gives_a_right(page: PageLogins) -> None:
    token, secret = tokens.made(name="", scope="read", accounts=("bob",), now=0, expires=None, ids=())
    tokens.save(str(page.state), [token])
    with page.logged_in(token=secret) as (web, told, _):
        who = told["told"]
        assert (who["administrator"], who["scope"], who["accounts"]) == (True, "read", ["bob"])
        for wider in ({}, {"scope": "administer"}, {"accounts": ["alice", "bob"]}, {"from": "198.51.100.9"}):
            send(web, {"narrow": wider})
        send(web, {"keep": True})
        send(web, {"verb": "who", "id": 1})
        assert receive(web)["told"]["scope"] == "read"
        for number, asked in enumerate(({"verb": "reconcile"}, {"verb": "me", "about": "alice"}, {"verb": "accounts"})):
            send(web, {**asked, "id": number})
            assert "error" in receive(web)
        send(web, {"verb": "me", "about": "bob", "id": 5})
        assert receive(web)["told"]["account"] == "bob"


def test_who_has_no_account_is_refused_in_the_daemons_words(page: PageLogins) -> None:
    assert "exempt" in page.answer(login("carol"))[0]["error"]
    assert page.answer(login("root"))[0]["error"] == "wrong user name or password"
