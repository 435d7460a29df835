"""The pages of the machine, of what is sold, and of tokens."""

import csv
import re
from collections.abc import Mapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from paas_isolate.web.link import AskError
from paas_isolate.web.pages.figures import Bar, of_cores, of_count, of_share, of_size
from tests.support.web.administrator import AdministratorsHelper
from tests.support.web.fake_link import Answer, canned
from tests.web.administrator.conftest import Send


def _text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_the_machine_says_who_stands_at_a_limit(ann: TestClient) -> None:
    page = ann.get("/host")
    assert "Waited for the disk 21 %" in _text(page.text)
    assert "Memory of all customers 120G of 234G" in _text(page.text)
    assert '<a href="/accounts/alice">alice</a>' in page.text
    assert "3 mistakes in the files" in _text(page.text)


def test_what_is_not_measured_is_said_to_be_unknown(ann: TestClient, helper: AdministratorsHelper) -> None:
    told = canned("host")
    told["machine"] = dict.fromkeys(told["machine"])
    told |= {"customers": {}, "sampled": None, "at_limit": [], "accounts_at_limit": 0}
    told["accounts"]["active"] = None
    helper.links[0].answers["host"] = told
    page = _text(ann.get("/host").text)
    assert "Last sample none." in page
    assert "Nobody stood at a limit." in page


def test_what_failed_comes_first(ann: TestClient) -> None:
    page = ann.get("/doctor").text
    verdicts = re.findall(r'<span class="state \w*">(\w+)</span>', page)
    assert verdicts == ["FAILED", "WARNING", "SKIPPED", "OK", "OK"]
    assert "paas-isolate pam enable" in page


def test_only_processes_that_are_outside_are_listed(ann: TestClient) -> None:
    page = _text(ann.get("/coverage").text)
    assert "412 of 414 processes of customers are where they belong. 1 more are where root put them." in page
    assert "tmux" in page
    assert "php-fpm" not in page


def test_differences_come_with_what_was_changed_lately(ann: TestClient, send: Send) -> None:
    page = _text(ann.get("/differences").text)
    assert "set memory.max of users/alice to 536870912 (was max)" in page
    assert "accounts.d/bob.yaml:3: limits.memory is &#39;5 12M&#39;" in page
    assert "alice: peers" in page
    assert re.search(r"\d\d:\d\d bob: move 5120", page)
    assert send("/reconcile").headers["location"] == "/differences"
    assert "2 steps done." in ann.get("/differences").text


def test_a_machine_without_a_network_says_how_to_have_one(ann: TestClient, helper: AdministratorsHelper) -> None:
    helper.links[0].answers["network"] = AskError("this machine has no network of accounts", 5)
    page = ann.get("/network")
    assert page.status_code == 200
    assert "this machine has no network of accounts" in page.text


def test_the_bill_has_sums_and_leads_to_its_csv(ann: TestClient) -> None:
    page = ann.get("/bill", params={"month": "2026-10"}).text
    assert "Suspended, h" in page
    assert '<td class="number">132.40</td>' in page  # 120.404 + 12
    assert '<td class="number">3.42</td>' in page
    assert 'href="/bill.csv?month=2026-10"' in page
    answer = ann.get("/bill.csv", params={"month": "2026-10"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [row["core_hours"] for row in rows] == ["120.4040", "12.0000"]
    assert [row["gb_sent"] for row in rows] == ["", ""]


@pytest.mark.parametrize("month", ["october", "2026", "2026-10-01"])
def test_a_month_that_is_none_is_refused(ann: TestClient, month: str) -> None:
    assert ann.get("/bill", params={"month": month}).status_code == 400


def test_advice_is_for_all_accounts_or_about_a_plan(ann: TestClient) -> None:
    assert "too tight" in ann.get("/advice").text
    page = _text(ann.get("/advice", params={"plan": "small"}).text)
    assert "Whom small would have hurt" in page
    assert "2 accounts, 1 of them hurt in the last 14 days" in page


def test_tokens_are_listed_and_revoked_after_a_question(
    ann: TestClient, send: Send, helper: AdministratorsHelper
) -> None:
    page = ann.get("/tokens").text
    assert "paas-isolate token create" in page
    assert "never" in page
    assert "is refused from now on" in ann.get("/tokens/0a1b2c3d/revoke").text
    assert send("/tokens/0a1b2c3d/revoke").headers["location"] == "/tokens"
    assert helper.links[0].asked[-1][:3] == ("revoke", "", {"token": "0a1b2c3d"})


def test_events_go_on_after_the_last_one_that_is_shown(ann: TestClient) -> None:
    page = ann.get("/events").text
    assert page.index("move 5120") < page.index("set memory.max")
    assert 'data-last="0000000a.1"' in page


def of_bill(number: int) -> Answer:
    """A bill of so many lines, in pages as the command makes them."""

    def answer(_: str, options: Mapping[str, str], __: bytes) -> dict[str, Any]:
        told: dict[str, Any] = canned("bill")
        lines = [{**told["lines"][0], "account": f"cust{at:05}"} for at in range(number)]
        first, limit = int(options.get("after", "0")), int(options["limit"])
        following = str(first + limit) if first + limit < number else None
        return told | {"lines": lines[first : first + limit], "next": following, "total": number}

    return answer


def test_a_long_bill_is_a_page_of_many(ann: TestClient, helper: AdministratorsHelper) -> None:
    helper.links[0].answers["bill"] = of_bill(250)
    page = ann.get("/bill", params={"month": "2026-10"}).text
    assert "100 of 250 lines." in page
    assert "cust00099" in page and "cust00100" not in page
    assert '<td class="number">132.40</td>' in page, "the sums are those of all lines"
    assert 'href="/bill?month=2026-10&amp;after=100"' in page and "First page" not in page
    last = ann.get("/bill", params={"month": "2026-10", "after": "200"}).text
    assert "cust00249" in last and 'href="/bill?month=2026-10"' in last and "Next page" not in last


def test_the_csv_of_a_bill_has_all_lines(ann: TestClient, helper: AdministratorsHelper) -> None:
    helper.links[0].answers["bill"] = of_bill(20_000)
    rows = list(csv.DictReader(ann.get("/bill.csv", params={"month": "2026-10"}).text.splitlines()))
    assert [row["account"] for row in rows] == [f"cust{at:05}" for at in range(20_000)]
    assert {options["month"] for verb, _, options, _ in helper.links[0].asked[-20:] if verb == "bill"} == {"2026-10"}


def test_other_long_lists_lead_to_their_next_page(ann: TestClient, helper: AdministratorsHelper) -> None:
    answers = helper.links[0].answers
    answers["network"] = canned("network") | {"total": 20_000, "next": "bob"}
    assert 'href="/network?after=bob"' in ann.get("/network").text
    answers["advise"] = canned("advise") | {"total": 20_000, "next": "bob/bob"}
    page = ann.get("/advice").text
    assert "2 of 20000 accounts" in page and 'href="/advice?after=bob%2Fbob"' in page
    answers["advise"] = canned("advise-plan") | {"total": 20_000, "next": "bob/bob"}
    page = ann.get("/advice", params={"plan": "small", "after": "alice/alice"}).text
    assert 'href="/advice?plan=small&amp;after=bob%2Fbob"' in page and 'href="/advice?plan=small"' in page
    assert helper.links[0].asked[-1][2] == {"limit": "100", "plan": "small", "after": "alice/alice"}


def test_figures() -> None:
    assert of_cores(0.5, 2.0) == Bar("50 %", "200 %", 25)
    assert of_size(512 << 20, 1 << 30) == Bar("512M", "1G", 50)
    assert of_size(None, 1 << 30).percent is None
    assert of_size(3000.0, None, "/s") == Bar("2.9K/s")
    assert of_count(7, None) == Bar("7")
    assert of_share(0.213) == Bar("21 %", percent=21)
