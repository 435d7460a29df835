"""Who gets the pages of administrators: the daemon decides, and the pages say nothing to others."""

import re

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from paas_isolate.web.pages import administrator
from tests.support.web.administrator import AdministratorsHelper
from tests.web.administrator.conftest import Send, hidden
from tests.web.conftest import ORIGIN, Browser

ROUTES = [
    (method, re.sub(r"\{plan\}", "small", re.sub(r"\{token\}", "0a1b2c3d", route.path)).format(account="bob"))
    for route in administrator.routes()
    if isinstance(route, Route)
    for method in (route.methods or ())
    if method != "HEAD"
]
READ = [path for method, path in ROUTES if method == "GET"]
WRITTEN = [path for method, path in ROUTES if method == "POST"]


def test_the_walk_covers_reading_and_writing() -> None:
    assert len(READ) > 15
    assert len(WRITTEN) > 8


@pytest.mark.parametrize("path", READ)
def test_an_administrator_gets_each_page(ann: TestClient, path: str) -> None:
    answer = ann.get(path)
    assert answer.status_code == 200, answer.text
    if not path.endswith(".csv"):
        assert "<h1>" in answer.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_stranger_is_sent_to_the_login(stranger: TestClient, method: str, path: str) -> None:
    answer = stranger.request(method, path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_customer_finds_no_such_page(log_in: Browser, helper: AdministratorsHelper, method: str, path: str) -> None:
    browser = log_in("alice")
    csrf = hidden(browser.get("/accounts/alice").text, "csrf")
    asked = helper.links[0].asked
    before = len(asked)
    answer = browser.request(
        method, path, data={"csrf": csrf} if method == "POST" else None, headers={"origin": ORIGIN}
    )
    assert answer.status_code == 404
    assert "<h1>" in answer.text
    assert len(asked) == before


@pytest.mark.parametrize("path", WRITTEN)
@pytest.mark.parametrize("token", ["", "guessed"])
def test_a_form_of_no_page_of_hers_is_refused(
    ann: TestClient, helper: AdministratorsHelper, path: str, token: str
) -> None:
    asked = helper.links[0].asked
    before = len(asked)
    answer = ann.post(path, data={"csrf": token, "text": "account: eve\n"}, headers={"origin": ORIGIN})
    assert answer.status_code == 403
    assert len(asked) == before


@pytest.mark.parametrize("path", WRITTEN)
def test_a_form_of_another_site_is_refused(ann: TestClient, helper: AdministratorsHelper, path: str) -> None:
    csrf = hidden(ann.get("/new-account").text, "csrf")
    before = len(helper.links[0].asked)
    answer = ann.post(path, data={"csrf": csrf}, headers={"origin": "http://elsewhere.example"})
    assert answer.status_code == 403
    assert len(helper.links[0].asked) == before


@pytest.mark.parametrize("name", ["..", "%2e%2e", "a%0d%0aset-cookie:x", "<script>", "A", "a" * 33, "alice%00"])
@pytest.mark.parametrize("path", ["/accounts/{}/file", "/accounts/{}/freeze", "/accounts/{}/remove"])
def test_what_cannot_be_a_name_is_not_asked_for(
    ann: TestClient, helper: AdministratorsHelper, path: str, name: str
) -> None:
    before = len(helper.links[0].asked)
    assert ann.get(path.format(name), follow_redirects=False).status_code == 404
    assert len(helper.links[0].asked) == before


def test_a_token_that_can_be_none_is_not_asked_for(send: Send) -> None:
    assert send("/tokens/0a1b2c3d0/revoke").status_code == 404
