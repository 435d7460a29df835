"""The table of all accounts."""

import re
import time
from html import unescape
from typing import Any

import pytest
from starlette.testclient import TestClient

from paas_isolate.web.filters import NONE
from paas_isolate.web.pages.administrator.accounts import columns
from tests.support.web.administrator import AdministratorsHelper, Machine
from tests.web.administrator.conftest import Send


def _names(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/accounts/([^"]+)">', page)


def _asked(helper: AdministratorsHelper) -> dict[str, str]:
    return next(options for verb, _, options, _ in reversed(helper.links[0].asked) if verb == "accounts")


def test_a_page_has_a_hundred_rows_and_leads_to_the_next(ann: TestClient) -> None:
    seen: list[str] = []
    path = "/accounts"
    for rows in (100, 100, 52):
        page = ann.get(path).text
        assert len(_names(page)) == rows
        seen += _names(page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = unescape(following[1]) if following else ""
    assert not path
    assert len(set(seen)) == 252


def test_search_and_order_stay_from_page_to_page(ann: TestClient, helper: AdministratorsHelper) -> None:
    page = ann.get("/accounts", params={"search": "cust", "sort": "memory"}).text
    assert _asked(helper) == {"limit": "100", "search": "cust", "sort": "memory"}
    following = re.search(r'href="([^"]+)" rel="next"', page)
    assert following
    ann.get(unescape(following[1]))
    assert _asked(helper) == {"limit": "100", "search": "cust", "sort": "memory", "after": "100"}


def test_the_order_is_told_to_those_who_cannot_see(ann: TestClient) -> None:
    page = ann.get("/accounts", params={"sort": "cpu"}).text
    assert re.findall(r'aria-sort="(\w+)"><a href="[^"]*">(\w+)', page) == [("descending", "CPU")]
    assert [column.sorted for column in columns("", "")] == ["ascending", *[""] * 8]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"search": "zzz"}, "No account whose name, plan or owner contains zzz."),
        ({"search": "<script>"}, "expected"),
        ({"search": "a b"}, "expected"),
        ({"search": "x" * 65}, "expected"),
    ],
)
def test_a_search_that_finds_nothing_says_so(ann: TestClient, query: dict[str, str], words: str) -> None:
    page = ann.get("/accounts", params=query)
    assert page.status_code == 200
    assert words in page.text
    assert not _names(page.text)
    assert "<script>" not in page.text


@pytest.mark.parametrize("query", [{"sort": "name; drop"}, {"after": "a\nb"}, {"after": "x" * 201}])
def test_what_no_page_of_ours_asks_is_refused(ann: TestClient, query: dict[str, str]) -> None:
    assert ann.get("/accounts", params=query).status_code == 400


def test_a_use_is_shown_beside_its_limit_in_words_and_as_a_bar(ann: TestClient, machine: Machine) -> None:
    row: dict[str, Any] = machine.rows[0]
    row |= {"cpu_cores": 0.835, "cpu_limit": 1.0, "memory": 300 << 20, "memory_limit": None, "pids": None}
    page = ann.get("/accounts", params={"search": "alice"}).text
    assert '84 % <span class="of">of 100 %</span>' in page
    assert '<meter min="0" max="100" high="90" optimum="0" value="84" aria-label="CPU of alice">84 %</meter>' in page
    assert re.search(r'data-title="Memory">300M</td>', page)
    assert re.search(rf'data-title="Processes">{NONE} <span class="of">of \d+</span></td>', page)


def test_names_plans_and_notes_are_text(ann: TestClient, machine: Machine) -> None:
    hostile = "<script>alert(1)</script>"
    machine.rows[0] |= {"account": hostile, "plan": hostile, "state": hostile, "note": hostile}
    page = ann.get("/accounts").text
    assert hostile not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4


def test_twenty_thousand_accounts_are_painted_within_a_second(log_in: Any, machine: Machine) -> None:
    machine.rows[:] = Machine(20_000).rows
    ann = log_in("ann")
    ann.get("/accounts")
    for query in ({}, {"search": "cust1"}, {"sort": "cpu"}):
        begun = time.monotonic()
        page = ann.get("/accounts", params=query)
        assert time.monotonic() - begun < 1
        assert len(_names(page.text)) == 100


@pytest.mark.parametrize(
    ("path", "fields", "asked", "words"),
    [
        ("/accounts/alice/freeze", {}, ("freeze", "alice", {}), "alice is frozen."),
        ("/accounts/alice/thaw", {}, ("thaw", "alice", {}), "alice goes on."),
        (
            "/accounts/alice/scale",
            {"service": "web", "replicas": "3"},
            ("scale", "alice", {"service": "web", "replicas": "3"}),
            "web: 3 replicas are wanted.",
        ),
    ],
)
def test_an_order_is_carried_out_and_said(
    ann: TestClient, send: Send, helper: AdministratorsHelper, path: str, fields: dict[str, str], asked: Any, words: str
) -> None:
    answer = send(path, fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/accounts/alice")
    assert helper.links[0].asked[-1] == (*asked, b"")
    assert words in ann.get("/accounts/alice").text


@pytest.mark.parametrize("fields", [{}, {"service": "web"}, {"service": "../x", "replicas": "2"}])
def test_an_order_that_lacks_something_is_refused(send: Send, fields: dict[str, str]) -> None:
    assert send("/accounts/alice/scale", fields).status_code == 400
