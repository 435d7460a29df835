"""What strangers, customers and other sites try."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from paas_isolate.web.app import app
from paas_isolate.web.guard import BODY_CAP, HEADERS, Guard
from tests.support.web.fake_link import FakeHelper, FakeLink, canned
from tests.web.conftest import ORIGIN, Browser
from tests.web.test_pages import FORM, PAGES, csrf

pytestmark = pytest.mark.hostile
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW", "get")
FILLED = {"account": "alice", "verb": "stop"}
OPEN = ("/login", "/static/{version}/{name}")
SCRIPT = "<script>alert(1)</script>"
NASTY = f"{SCRIPT}\"'><img src=x onerror=alert(1)>\x1b[31m\r\nset-cookie: a=b\u202egnp\ud800{{{{ 7*7 }}}}"


def paths() -> Iterator[str]:
    """Of all routes but those of the interface (tests of their own walk those)."""
    made = app(FakeHelper(), secure=False)
    assert isinstance(made, Starlette)
    for route in made.routes:
        assert isinstance(route, Route)
        if not route.path.startswith("/v1") and route.path not in OPEN:
            yield re.sub(r"\{(\w+)(:\w+)?\}", lambda found: FILLED.get(found[1], "web"), route.path)


@pytest.mark.parametrize("path", sorted(set(paths())))
def test_without_a_login_there_is_only_the_login(path: str, stranger: TestClient, helper: FakeHelper) -> None:
    for method in METHODS:
        answer = stranger.request(method, path, headers=FORM, follow_redirects=False)
        if answer.status_code == 303:
            assert answer.headers["location"].startswith("/login"), (method, path)
            assert not answer.content
        else:
            assert answer.status_code == 405, (method, path)
    assert not helper.links


@pytest.mark.parametrize("cookie", ["", "x", "x" * 43, "x" * 8000, "../../etc/passwd", '"', "é", "a=b; paas-isolate=c"])
def test_an_id_that_is_none(cookie: str, stranger: TestClient) -> None:
    headers = {"cookie": f"paas-isolate={cookie}".encode()}
    answer = stranger.get("/accounts/alice", headers=headers, follow_redirects=False)
    assert answer.headers["location"].startswith("/login")


def test_anothers_account_looks_like_none(log_in: Browser) -> None:
    client = log_in("alice")
    token = csrf(client)
    for end in (*PAGES, "/live", "/chart.svg"):
        there, not_there = client.get(f"/accounts/bob{end}"), client.get(f"/accounts/rob{end}")
        assert there.status_code == not_there.status_code >= 400, end
        assert there.text.replace("bob", "rob") == not_there.text
    for end in ("/services/web/stop", "/notices"):
        answer = client.post(f"/accounts/bob{end}", data={"csrf": token, "state": "off"}, headers=FORM)
        assert "no account is called" in answer.text.lower()


def test_a_forged_form_is_refused(log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    token, path = csrf(client), "/accounts/alice/services/web/stop"
    right = {"csrf": token}
    for form, headers in (
        ({}, FORM),
        ({"csrf": ""}, FORM),
        ({"csrf": "x" * 43}, FORM),
        ({"csrf": token[:-1]}, FORM),
        ({"csrf": "\ud83d"}, FORM),
        (right, {"origin": "http://evil.example"}),
        (right, {"origin": "null"}),
        (right, {"origin": f"{ORIGIN}.evil.example"}),
        (right, {"origin": f"http://evil.example#{ORIGIN}"}),
        (right, {"sec-fetch-site": "cross-site"}),
        (right, {"sec-fetch-site": "same-site"}),
        ({}, {**FORM, "x-csrf-token": "x"}),
    ):
        body = "&".join(f"{name}={value}" for name, value in form.items()).encode(errors="surrogatepass")
        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = client.post(path, content=body, headers={**headers, **kind})
        assert answer.status_code in (400, 403), (form, headers)
    assert not [asked for asked in helper.links[0].asked if asked[0] == "stop"]
    assert client.post(path, headers={**FORM, "x-csrf-token": token}).status_code == 200


def test_anothers_token_is_none(helper: FakeHelper) -> None:
    made = app(helper, secure=False)
    with TestClient(made, base_url=ORIGIN) as alice, TestClient(made, base_url=ORIGIN) as bob:
        for client, user in ((alice, "alice"), (bob, "bob")):
            client.post("/login", data={"user": user, "password": "right"}, headers=FORM)
        form = {"csrf": csrf(bob, "/accounts/bob")}
        assert alice.post("/accounts/alice/services/web/stop", data=form, headers=FORM).status_code == 403


def test_a_login_that_another_site_sends_is_refused(stranger: TestClient, helper: FakeHelper) -> None:
    """Who was logged in as somebody else would write their secrets there."""
    form = {"user": "alice", "password": "right"}
    answer = stranger.post("/login", data=form, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert not helper.addresses


def test_hostile_text_is_text(log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    answers = helper.links[0].answers

    def nasty(value: Any, key: str = "") -> Any:
        """All text but what our own words choose by."""
        if isinstance(value, dict):
            return {name: nasty(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [nasty(each, key) for each in value]
        kept = ("account", "time_zone", "from", "to", "begin", "end", "unit", "cgroup.freeze", "time", "kind")
        return NASTY if isinstance(value, str) and key not in kept else value

    for verb, told in (
        ("me", canned("me")),
        ("explain", canned("explain")),
        ("faults", {"rows": canned("faults")}),
        ("usage", canned("usage")),
        ("logs", {"lines": ["a", "b"]}),
        ("notices", {"said": ["a"], "state": "on"}),
    ):
        answers[verb] = nasty(told)
    shown = ""
    for end in PAGES[:-2]:
        answer = client.get(f"/accounts/alice{end}")
        assert answer.status_code == 200, end
        shown += answer.text
    answers["me"] = canned("me")
    shown += client.get("/accounts/alice/services/web").text
    assert shown.count("&lt;script&gt;alert(1)") > 20
    assert "<script>a" not in shown
    assert "<img src=x" not in shown
    assert not set("\x1b\r\u202e\ud800") & set(shown)
    assert "{{ 7*7 }}" in shown
    answers["stop"] = {"said": [NASTY]}
    answer = client.post("/accounts/alice/services/web/stop", data={"csrf": csrf(client)}, headers=FORM)
    assert "&lt;script&gt;" in answer.text
    assert "<script>a" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/../x",
        "/accounts/%2e%2e/x",
        "/accounts/alice/%2e%2e/bob",
        "/accounts/..%2fbob",
        "/accounts/alice%00",
        "/accounts/alice%0d%0aset-cookie:%20a=b",
        "/accounts/alice%5cbob",
        "/accounts//alice",
        "/accounts/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/accounts/-rf",
        "/accounts/ALICE",
        "/accounts/al%C3%A9",
        "/accounts/%ff",
        "/accounts/" + "a" * 8000,
        "/accounts/alice/services/%3Cscript%3E",
        "/accounts/alice/services/%2e%2e",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/x/%2e%2e%2f%2e%2e%2fapp.py",
        "//evil.example/",
        "/accounts/alice/",
    ],
)
def test_paths_that_are_none(path: str, log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    before = len(helper.links[0].asked)
    answer = client.get(ORIGIN + path, follow_redirects=False)
    assert answer.status_code in (307, 404), path
    assert "<script" not in answer.text.partition("</head>")[2]
    assert "script" not in str(answer.headers).replace(HEADERS["content-security-policy"], "")
    assert "set-cookie" not in answer.headers
    assert len(helper.links[0].asked) == before


def test_names_in_headers_have_no_line_breaks(log_in: Browser) -> None:
    client = log_in("alice")
    for path in ("/login?next=/a%0d%0ax:%20y", "/accounts/a%0aset-cookie:b/faults"):
        assert "set-cookie" not in client.get(path, follow_redirects=False).headers


@pytest.mark.parametrize("query", ["lines=9999", "lines=1;id", "number=0", "lines=%00"])
def test_queries_that_are_none(query: str, log_in: Browser) -> None:
    assert log_in("alice").get(f"/accounts/alice/services/web?{query}").status_code == 400


def test_bodies_are_bounded(stranger: TestClient) -> None:
    assert stranger.post("/login", content=b"a" * (BODY_CAP + 1), headers=FORM).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(BODY_CAP // 1000 + 2):
            yield b"a" * 1000

    assert stranger.post("/login", content=endless(), headers=FORM).status_code == 413
    assert stranger.post("/login", content=b"&".join([b"a=b"] * 1000), headers=FORM).status_code == 400
    assert stranger.post("/login", content=b"\xff\xfe%ff", headers=FORM).status_code == 400
    for size in ("-1", "1e9", "9" * 5000, "0x10", "1, 1"):
        headers = {**FORM, "content-length": size}
        assert stranger.post("/login", content=b"", headers=headers).status_code in (400, 413)


def test_hosts_that_are_not_ours(helper: FakeHelper) -> None:
    with TestClient(
        Guard(app(helper, secure=False), {"panel.example", "[::1]"}), base_url="http://panel.example"
    ) as client:
        assert client.get("/login").status_code == 200
        for host in ("panel.example:8421", "PANEL.example", "[::1]:8421"):
            assert client.get("/login", headers={"host": host}).status_code == 200
        for host in ("evil.example", "panel.example.evil.example", "127.0.0.1"):
            assert client.get("/login", headers={"host": host}).status_code == 421
        for host in ("", "a b", "panel.example/x", "panel.example@evil", "<script>"):
            assert client.get("/login", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("path", ["/login", "/nothing", "/accounts/alice", "/v1/who", "/accounts/%00"])
def test_each_answer_says_what_browsers_may_do(path: str, stranger: TestClient) -> None:
    answer = stranger.get(path, follow_redirects=False)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "server" not in answer.headers


def test_a_bug_shows_nothing_of_itself(helper: FakeHelper) -> None:
    def make(user: str) -> FakeLink:
        link = FakeLink(user)
        link.answers["faults"] = KeyError(SCRIPT)
        return link

    helper.make = make  # type: ignore[assignment]
    made = Guard(app(helper, secure=False))
    with TestClient(made, base_url=ORIGIN, raise_server_exceptions=False) as client:
        client.post("/login", data={"user": "alice", "password": "right"}, headers=FORM)
        answer = client.get("/accounts/alice/faults")
        assert answer.status_code == 500
        assert "KeyError" not in answer.text
        assert "script>alert" not in answer.text
        assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
