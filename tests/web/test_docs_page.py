"""The interface's page: read and tried without JavaScript."""

import re
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from paas_isolate.control.table import VERBS, Access
from paas_isolate.web.problem import PROBLEMS
from tests.support.web.fake_link import FakeHelper
from tests.web.conftest import Browser

PAGE = "/v1/docs"


class Ids(HTMLParser):
    """The ids of a page, and what its labels and descriptions name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.named: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("for", "aria-describedby", "aria-labelledby") and value:
                self.named.add(value)


def test_strangers_are_sent_to_the_login(stranger: TestClient) -> None:
    answer = stranger.get(PAGE, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/v1/docs")


@pytest.mark.parametrize(("user", "all_rows"), [("ann", True), ("alice", False)])
def test_each_sees_the_rows_that_are_theirs(log_in: Browser, user: str, all_rows: bool) -> None:
    text = log_in(user).get(PAGE).text
    rows = {verb.name for verb in VERBS if all_rows or verb.access is not Access.ADMINISTRATOR}
    found = Ids(text)
    assert set(re.findall(r'<h2 id="([a-z-]+)"><code>', text)) == rows
    assert len(found.ids) == len(set(found.ids))
    assert found.named <= set(found.ids)
    assert {problem.slug for problem in PROBLEMS} <= set(found.ids)
    assert "<script" not in re.sub(r'<script src="[^"]*"[^>]*></script>', "", text)
    assert " style=" not in text


def test_a_row_is_tried(log_in: Browser, helper: FakeHelper) -> None:
    answer = log_in("alice").get(f"{PAGE}?verb=usage&account=alice&period=day&by=&from=")
    assert "200 OK" in answer.text
    assert "measured_seconds" in answer.text
    assert helper.links[-1].asked[-1] == ("usage", "alice", {"period": "day"}, b"")
    assert "<option selected>day" not in answer.text  # a pattern, not a list
    assert 'value="day"' in answer.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("verb=usage&account=bob", "404 There is no such thing"),
        ("verb=usage&account=%3Cscript%3E", "404 There is no such thing"),
        ("verb=usage&account=alice&period=%3Cscript%3E", "400 The request is wrong"),
        ("verb=usage&account=alice&nothing=%3Cscript%3E", "400 The request is wrong"),
        ("verb=doctor", ""),
    ],
)
def test_a_refusal_is_shown(log_in: Browser, query: str, said: str) -> None:
    text = log_in("alice").get(f"{PAGE}?{query}").text
    assert "<script>" not in text
    assert said in text


@pytest.mark.parametrize("verb", ["restart", "put", "events", "none", "<script>"])
def test_nothing_that_changes_something_is_tried(log_in: Browser, helper: FakeHelper, verb: str) -> None:
    browser = log_in("ann")
    before = list(helper.links[-1].asked)
    text = browser.get(PAGE, params={"verb": verb, "account": "alice", "service": "web"}).text
    assert helper.links[-1].asked == before
    assert "<script>" not in text
