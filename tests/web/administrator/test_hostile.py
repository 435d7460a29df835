"""Text that customers have chosen, on the pages of administrators: shown, and nothing but text."""

import csv
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from paas_isolate.web.link import AskError
from tests.support.web.administrator import ALICE, AdministratorsHelper, tag_of
from tests.support.web.fake_link import canned
from tests.web.administrator.conftest import Send

HOSTILE = "<script>alert('x')</script>\u202e\x1b[2J\"><img src=x onerror=alert(1)>"
PAGES = {
    "accounts": "/accounts",
    "host": "/host",
    "doctor": "/doctor",
    "coverage": "/coverage",
    "differences": "/differences",
    "network": "/network",
    "plans": "/plans",
    "bill": "/bill",
    "advise": "/advice",
    "tokens": "/tokens",
}


def _poisoned(told: Any) -> Any:
    """Each text of an answer is hostile, also the keys of what is not ours."""
    match told:
        case dict():
            return {_poisoned(key) if key in ("alice", "bob") else key: _poisoned(value) for key, value in told.items()}
        case list() | tuple():
            return [_poisoned(each) for each in told]
        case str() if not told.replace(".", "").isdigit():
            return f"{told}{HOSTILE}"
    return told


def _harmless(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "onerror=alert(1)>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.hostile
@pytest.mark.parametrize("verb", PAGES)
def test_no_text_of_an_answer_is_html(ann: TestClient, helper: AdministratorsHelper, verb: str) -> None:
    (link,) = helper.links
    answer = link.answers[verb]
    told = answer("", {}, b"") if callable(answer) else answer
    link.answers[verb] = _poisoned(told)
    page = ann.get(PAGES[verb])
    assert page.status_code == 200, page.text
    _harmless(page.text)


@pytest.mark.hostile
def test_no_sentence_of_an_event_is_html(ann: TestClient, helper: AdministratorsHelper) -> None:
    (link,) = helper.links
    link.happened = _poisoned(canned("events")["events"])
    _harmless(ann.get("/events").text)
    link.happened = [{**event, "sentence": HOSTILE} for event in canned("events")["events"]]
    _harmless(ann.get("/differences").text)


@pytest.mark.hostile
@pytest.mark.parametrize("verb", PAGES)
def test_no_refusal_is_html(ann: TestClient, helper: AdministratorsHelper, verb: str) -> None:
    (link,) = helper.links
    link.answers[verb] = AskError(HOSTILE, 1)
    _harmless(ann.get(PAGES[verb]).text)


@pytest.mark.hostile
def test_no_complaint_and_no_step_is_html(send: Send, helper: AdministratorsHelper) -> None:
    (link,) = helper.links
    complaint = {"file": HOSTILE, "text": HOSTILE, "line": 2, "column": 1, "key": HOSTILE, "warning": False}
    link.answers["put"] = AskError(HOSTILE, 2, (complaint, {**complaint, "file": "accounts.d/alice.yaml"}))
    sent = {"text": f"x\n{HOSTILE}\n", "tag": tag_of(ALICE), "do": "check"}
    _harmless(send("/accounts/alice/file", sent).text)
    steps = {"conflict": False, "steps": [HOSTILE], "more": 0, "complaints": [complaint]}
    link.answers["put"] = steps
    _harmless(send("/accounts/alice/file", sent).text)


@pytest.mark.hostile
def test_the_text_of_a_colleague_is_not_html(send: Send, helper: AdministratorsHelper) -> None:
    helper.machine.files["accounts.d/alice.yaml"] = HOSTILE
    _harmless(send("/accounts/alice/file", {"text": HOSTILE[1:], "tag": tag_of(ALICE), "do": "check"}).text)


@pytest.mark.hostile
def test_no_cell_of_the_bill_is_a_formula(ann: TestClient, helper: AdministratorsHelper) -> None:
    (link,) = helper.links
    told = canned("bill")
    told["lines"][0] |= {"account": "=cmd|'/C calc'!A0", "plan": "@x"}
    link.answers["bill"] = told
    rows = list(csv.reader(ann.get("/bill.csv").text.splitlines()))
    assert rows[1][:2] == ["'=cmd|'/C calc'!A0", "'@x"]


@pytest.mark.hostile
def test_the_month_of_an_answer_stands_in_no_header(ann: TestClient, helper: AdministratorsHelper) -> None:
    (link,) = helper.links
    link.answers["bill"] = {**canned("bill"), "month": '2026-10"\r\nset-cookie: a=b'}
    answer = ann.get("/bill.csv")
    assert "set-cookie" not in answer.headers
    assert answer.headers["content-disposition"] == 'attachment; filename="bill.csv"'


@pytest.mark.hostile
@pytest.mark.parametrize(
    "query", ["from=-1", "from=99999999999", "from=٣", "from=%00", "month=2026-10%0d%0a", "plan=../x"]
)
def test_no_query_is_an_error_of_ours(ann: TestClient, query: str) -> None:
    for path in ("/bill", "/advice", "/network"):
        assert ann.get(f"{path}?{query}").status_code in (200, 400)


@pytest.mark.hostile
def test_the_pages_ask_for_no_arguments_of_processes(ann: TestClient, helper: AdministratorsHelper) -> None:
    """The daemon leaves them out (`for_others` of the table); no page names an option that asks for them."""
    for path in PAGES.values():
        ann.get(path)
    asked = json.dumps([options for _, _, options, _ in helper.links[0].asked])
    assert "command" not in asked


@pytest.mark.hostile
@pytest.mark.parametrize("path", ["/accounts", "/host", "/coverage", "/differences", "/bill"])
def test_a_daemon_that_is_gone_is_said_by_a_login(ann: TestClient, helper: AdministratorsHelper, path: str) -> None:
    helper.links[0].is_closed = True
    answer = ann.get(path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")
