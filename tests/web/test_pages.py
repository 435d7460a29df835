"""The pages of an account, with canned answers."""

import re
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from paas_isolate.web.link import AskError
from tests.support.web.fake_link import FakeHelper, FakeLink, canned
from tests.web.conftest import ORIGIN, Browser

PAGES = ("", "/charts", "/charts?period=month", "/explain", "/faults", "/usage", "/services/web", "/services/nightly")
FORM = {"origin": ORIGIN}


def csrf(client: TestClient, path: str = "/accounts/alice") -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


class _Tags(HTMLParser):
    """The tags of a page, and those that it leaves open."""

    VOID = frozenset({"meta", "link", "input", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, self.getpos()


def test_a_customer_sees_the_own_account(log_in: Browser) -> None:
    page = log_in("alice").get("/").text
    assert canned("explain")["summary"].replace("'", "&#39;") in page
    for words in ("188M", "of 512M", "127.1.0.2", "too many starts in a short time", "next at 2026-11-30 03:30"):
        assert words in page
    assert "php import.php --file=big.csv (1234)" in page
    assert "Mails when a limit is hit are <strong>on</strong>" in page


def test_a_customer_sees_what_the_next_plan_would_change(log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    page = client.get("/accounts/alice").text
    assert "The next plan: medium" in page
    assert '<th scope="row">web: processes and threads</th>' in page
    assert ">not set<" in page and "New services: redis." in page
    plan = canned("plan")
    for told in (plan | {"next": None, "limits": [], "services_added": []}, AskError("that cannot be had now", 1)):
        helper.links[-1].answers["plan"] = told
        assert "The next plan" not in client.get("/accounts/alice").text
    helper.links[-1].answers["plan"] = plan | {"limits": [], "services_added": []}
    assert "It would change nothing for you." in client.get("/accounts/alice").text


@pytest.mark.parametrize("user", ["alice", "ann"])
@pytest.mark.parametrize("end", PAGES)
def test_pages_are_whole_and_can_be_used_by_all(end: str, user: str, log_in: Browser) -> None:
    answer = log_in(user).get(f"/accounts/alice{end}")
    assert answer.status_code == 200
    found = _Tags(answer.text)
    assert not found.open
    names = [tag for tag, _ in found.tags]
    assert names.count("h1") == names.count("main") == 1
    labels = {attributes.get("for") for tag, attributes in found.tags if tag == "label"}
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in found.tags:
        assert "style" not in attributes, "the policy forbids it"
        assert not any(name.startswith("on") for name in attributes)
        if tag in ("input", "select", "textarea") and attributes.get("type") != "hidden":
            assert attributes["id"] in labels
        if tag == "script":
            assert str(attributes["src"]).startswith("/static/")
        if tag == "th":
            assert attributes["scope"] in ("col", "row")
        if tag == "img":
            assert attributes["alt"]
        for name in ("src", "href", "action", "formaction", "hx-get", "data-history"):
            assert str(attributes.get(name, "/")).startswith(("/", "#")), "nothing of another site"


def test_a_chart_as_a_picture(log_in: Browser) -> None:
    client = log_in("alice")
    for path in re.findall(r'<img src="([^"]+)"', client.get("/accounts/alice").text):
        answer = client.get(path.replace("&amp;", "&"))
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert '<title id="title">alice</title>' in answer.text
        assert "Europe/Berlin" in answer.text
    assert client.get("/accounts/alice/chart.svg?metric=rain").status_code == 404
    assert client.get("/accounts/alice/charts?period=century").status_code == 404


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_a_button_orders_a_service(verb: str, log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    answer = client.post(f"/accounts/alice/services/web/{verb}", data={"csrf": csrf(client)}, headers=FORM)
    assert (verb, "alice", {"service": "web"}, b"") in helper.links[0].asked
    assert str(answer.url).endswith("/accounts/alice")
    assert 'role="status"><p>web: ' in answer.text
    assert 'role="status"' not in client.get("/accounts/alice").text, "it is said once"


def test_an_order_that_is_refused_says_why(log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    helper.links[0].answers["stop"] = AskError("one order a second: try again", 75)
    answer = client.post("/accounts/alice/services/web/stop", data={"csrf": csrf(client)}, headers=FORM)
    assert "One order a second: try again." in answer.text


def test_mails_are_switched(log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    form = {"csrf": csrf(client), "state": "off"}
    assert "mails about limits of alice are off" in client.post("/accounts/alice/notices", data=form).text
    assert client.post("/accounts/alice/notices", data={**form, "state": "perhaps"}).status_code == 400


def test_what_cannot_be_had_leaves_the_rest(log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    for verb in ("explain", "history", "faults", "notices"):
        helper.links[0].answers[verb] = AskError(f"no {verb} now", 75)
    page = client.get("/accounts/alice").text
    for words in ("no explain now", "no history now", "no faults now", "no notices now", "188M"):
        assert words in page


def test_a_suspended_customer_is_told_so_and_has_no_buttons(log_in: Browser, helper: FakeHelper) -> None:
    def suspended(user: str) -> FakeLink:
        link = FakeLink(user, suspended=True)
        cgroups = [{**line, "state": "suspended"} for line in canned("me")["cgroups"]]
        link.answers["me"] = {**canned("me"), "cgroups": cgroups}
        return link

    helper.make = suspended  # type: ignore[assignment]
    client = log_in("alice")
    page = client.get("/accounts/alice").text
    assert "This account is suspended" in page
    assert "/services/web/stop" not in page
    answer = client.post("/accounts/alice/services/web/stop", data={"csrf": csrf(client)}, headers=FORM)
    assert "Your account is suspended: ask your provider." in answer.text


def test_the_use_of_cpu_is_that_since_the_last_look(
    log_in: Browser, helper: FakeHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, now, cpu = log_in("alice"), 1000.0, 5_000_000
    monkeypatch.setattr("paas_isolate.web.pages.customer.time.monotonic", lambda: now)
    first = canned("me")

    def me(*_: object) -> dict[str, object]:
        whole = {**first["cgroups"][0], "use": {**first["cgroups"][0]["use"], "cpu": cpu}}
        return {**first, "cgroups": [whole, *first["cgroups"][1:]]}

    helper.links[0].answers["me"] = me
    client.get("/accounts/alice")
    now, cpu = now + 10, cpu + 3_700_000
    live = client.get("/accounts/alice/live").text
    assert 'data-cpu="0.37"' in live
    assert "37 %" in live
    assert "<html" not in live


def test_the_end_of_the_daemon_ends_the_login(log_in: Browser, helper: FakeHelper) -> None:
    client = log_in("alice")
    helper.links[0].is_closed = True
    answer = client.get("/accounts/alice/faults", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/accounts/alice/faults")
    part = client.get("/accounts/alice/live", headers={"hx-request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")


def test_an_administrator_begins_with_all_accounts(log_in: Browser) -> None:
    client = log_in("ann")
    assert client.get("/", follow_redirects=False).headers["location"] == "/accounts"
    assert "Administration" in client.get("/accounts/bob").text
