"""Logging in and out."""

import pytest
from starlette.testclient import TestClient

from paas_isolate.web.app import app
from paas_isolate.web.guard import Guard
from paas_isolate.web.link import LinkClosedError
from paas_isolate.web.tries import ADDRESS
from tests.support.web.fake_link import FakeHelper, FakeLink
from tests.web.conftest import ORIGIN, Browser
from tests.web.test_pages import FORM, csrf

RIGHT = {"user": "alice", "password": "right"}


def test_the_cookie_is_the_browsers_alone(stranger: TestClient) -> None:
    answer = stranger.post("/login", data=RIGHT, headers=FORM, follow_redirects=False)
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("paas-isolate=")
    assert {"httponly", "path=/", "samesite=strict"} == set(cookie.split("; ")[1:])


def test_by_tls_the_cookie_is_for_tls_alone(helper: FakeHelper) -> None:
    with TestClient(Guard(app(helper, secure=True)), base_url="https://testserver") as client:
        headers = {"origin": "https://testserver"}
        answer = client.post("/login", data=RIGHT, headers=headers, follow_redirects=False)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-paas-isolate=")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        answer = client.post("/login", data=RIGHT, headers={"origin": "http://testserver"})
        assert answer.status_code == 403


def test_a_wrong_password_is_one_sentence(stranger: TestClient) -> None:
    answer = stranger.post("/login", data={"user": "alice", "password": "wrong"}, headers=FORM)
    assert answer.status_code == 403
    assert "user or password is wrong" in answer.text
    assert 'value="alice"' in answer.text
    assert "wrong</p>" in answer.text
    assert 'value="wrong"' not in answer.text
    assert "set-cookie" not in answer.headers


def test_an_id_is_never_taken_from_a_browser(stranger: TestClient, log_in: Browser) -> None:
    stranger.cookies.set("paas-isolate", "x" * 43)
    log_in("alice")
    ids = [cookie.value for cookie in stranger.cookies.jar if cookie.name == "paas-isolate"]
    assert len(ids[-1] or "") == 43
    assert "x" * 43 not in ids[1:]


def test_logging_in_again_ends_the_login_before(log_in: Browser, helper: FakeHelper) -> None:
    log_in("alice")
    log_in("alice")
    assert [link.is_closed for link in helper.links] == [True, False]


def test_logging_out_ends_the_login(log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    kept = dict(client.cookies)
    answer = client.post("/logout", data={"csrf": csrf(client)}, headers=FORM)
    assert str(answer.url).endswith("/login")
    assert helper.links[0].is_closed
    client.cookies.update(kept)
    assert str(client.get("/accounts/alice").url).endswith("/login?next=/accounts/alice")


def test_the_end_of_the_program_ends_all_logins(helper: FakeHelper) -> None:
    with TestClient(app(helper, secure=False), base_url=ORIGIN) as client:
        client.post("/login", data=RIGHT, headers=FORM)
    assert helper.links[0].is_closed


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("/accounts/alice/faults", "/accounts/alice/faults"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/%2fevil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nset-cookie: a=b", "/"),
        ("/a%0d%0ax", "/"),
        ("javascript:alert(1)", "/"),
        ("/é", "/"),
    ],
)
def test_after_the_login_comes_a_page_of_this_site(wanted: str, location: str, stranger: TestClient) -> None:
    answer = stranger.post("/login", data={**RIGHT, "next": wanted}, headers=FORM, follow_redirects=False)
    assert answer.headers["location"] == location
    assert answer.headers.get_list("set-cookie")[0].startswith("paas-isolate=")


def test_too_many_tries_of_an_address(stranger: TestClient, helper: FakeHelper) -> None:
    wrong = {"user": "alice", "password": "wrong"}
    for _ in range(int(ADDRESS.burst)):
        assert stranger.post("/login", data=wrong, headers=FORM).status_code == 403
    assert stranger.post("/login", data=RIGHT, headers=FORM).status_code == 429
    assert len(helper.addresses) == ADDRESS.burst, "no helper is started"


def test_addresses_are_those_that_the_proxy_has_seen(helper: FakeHelper) -> None:
    header = {**FORM, "x-forwarded-for": "203.0.113.9, 192.0.2.7"}
    with TestClient(app(helper, secure=False, trusts_proxy=True), base_url=ORIGIN) as client:
        client.post("/login", data=RIGHT, headers=header)
    with TestClient(app(helper, secure=False), base_url=ORIGIN) as client:
        client.post("/login", data=RIGHT, headers=header)
    assert helper.addresses == ["192.0.2.7", "testclient"]


def test_nobody_is_there_to_ask(helper: FakeHelper) -> None:
    async def gone(credentials: object, address: str) -> tuple[str, FakeLink]:
        raise LinkClosedError

    with TestClient(app(gone, secure=False), base_url=ORIGIN) as client:
        answer = client.post("/login", data=RIGHT, headers=FORM)
    assert answer.status_code == 503
    assert "daemon does not answer" in answer.text


def test_who_has_logged_in_needs_no_login(log_in: Browser) -> None:
    assert log_in("alice").get("/login", follow_redirects=False).headers["location"] == "/"
