"""The file of an account or a plan, edited in the page."""

from html import unescape

import pytest
from starlette.testclient import TestClient

from paas_isolate.spec.names import SIZE_CAP
from paas_isolate.web.guard import BODY_CAP, FORM_CAP
from tests.support.web.administrator import ALICE, AdministratorsHelper, Machine, tag_of
from tests.web.administrator.conftest import Send, hidden
from tests.web.conftest import ORIGIN, Browser

FILE = "accounts.d/alice.yaml"
PATH = "/accounts/alice/file"
MORE = ALICE.replace("512M", "768M")


def test_the_plan_is_shown_before_anything_is_saved(send: Send, machine: Machine) -> None:
    checked = send(PATH, {"text": MORE, "tag": tag_of(ALICE), "do": "check"})
    assert checked.status_code == 200
    assert "set memory.max of users/alice to 805306368" in checked.text
    assert 'value="save"' in checked.text
    assert machine.files[FILE] == ALICE
    saved = send(PATH, {"text": MORE, "tag": tag_of(ALICE), "checked": hidden(checked.text, "checked"), "do": "save"})
    assert (saved.status_code, saved.headers["location"]) == (303, "/accounts/alice")
    assert machine.files[FILE] == MORE


def test_a_text_whose_plan_was_not_shown_is_checked_not_saved(send: Send, machine: Machine) -> None:
    checked = send(PATH, {"text": MORE, "tag": tag_of(ALICE), "do": "check"})
    other = MORE.replace("768M", "2G")
    again = send(PATH, {"text": other, "tag": tag_of(ALICE), "checked": hidden(checked.text, "checked"), "do": "save"})
    assert again.status_code == 200
    assert machine.files[FILE] == ALICE
    assert hidden(again.text, "checked") != hidden(checked.text, "checked")


def test_ends_of_lines_as_browsers_send_them_are_those_of_the_file(send: Send, machine: Machine) -> None:
    sent = MORE.replace("\n", "\r\n")
    checked = send(PATH, {"text": sent, "tag": tag_of(ALICE), "do": "check"})
    send(PATH, {"text": sent, "tag": tag_of(ALICE), "checked": hidden(checked.text, "checked"), "do": "save"})
    assert machine.files[FILE] == MORE


def test_a_complaint_names_line_and_column_and_quotes_the_line(send: Send, machine: Machine) -> None:
    wrong = ALICE.replace("512M", "5 12M")
    answer = send(PATH, {"text": wrong, "tag": tag_of(ALICE), "do": "check"})
    assert answer.status_code == 422
    assert "Line 5, column 11" in answer.text
    assert "expected a size such as 512M" in answer.text
    assert '<li class="wrong">5</li>' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert wrong.replace("'", "&#39;") in answer.text
    assert machine.files[FILE] == ALICE


def test_a_file_that_a_colleague_has_changed_is_not_overwritten(send: Send, machine: Machine) -> None:
    theirs = machine.files[FILE] = ALICE + "# theirs\n"
    for do in ("check", "save"):
        answer = send(PATH, {"text": MORE, "tag": tag_of(ALICE), "do": do})
        assert answer.status_code == 412
        assert "# theirs" in answer.text
        assert "768M" in answer.text
        assert '<span class="removed">-# theirs</span>' in answer.text
    assert machine.files[FILE] == theirs
    tag = hidden(answer.text, "tag")
    checked = send(PATH, {"text": MORE, "tag": tag, "do": "check"})
    send(PATH, {"text": MORE, "tag": tag, "checked": hidden(checked.text, "checked"), "do": "save"})
    assert machine.files[FILE] == MORE


def test_a_file_that_was_removed_meanwhile_can_be_written_again(send: Send, machine: Machine) -> None:
    del machine.files[FILE]
    answer = send(PATH, {"text": MORE, "tag": tag_of(ALICE), "do": "check"})
    assert answer.status_code == 412
    assert hidden(answer.text, "tag") == ""


def test_a_new_account(send: Send, machine: Machine) -> None:
    new = {"name": "carol", "text": "account: carol\n"}
    checked = send("/new-account", {**new, "do": "check"})
    saved = send("/new-account", {**new, "checked": hidden(checked.text, "checked"), "do": "save"})
    assert saved.headers["location"] == "/accounts/carol"
    assert machine.files["accounts.d/carol.yaml"] == "account: carol\n"


def test_a_new_account_replaces_no_other(send: Send, machine: Machine) -> None:
    answer = send("/new-account", {"name": "alice", "text": "account: alice\n", "do": "check"})
    assert answer.status_code == 412
    assert machine.files[FILE] == ALICE


@pytest.mark.parametrize("name", ["", "../x", "A", "<script>", "a\r\nb"])
def test_a_new_name_must_be_one(send: Send, helper: AdministratorsHelper, name: str) -> None:
    answer = send("/new-account", {"name": name, "text": "x", "do": "check"})
    assert answer.status_code == 400
    assert "<script>" not in answer.text
    assert not helper.links[0].asked


def test_a_plan_is_edited_in_the_same_way(send: Send, machine: Machine) -> None:
    text = machine.files["plans.d/small.yaml"]
    wrong = send("/plans/small/file", {"text": f"{text}  memory: x\n", "tag": tag_of(text), "do": "check"})
    assert (wrong.status_code, "limits.memory" in wrong.text) == (422, True)
    right = f"{text}  memory: 1G\n"
    checked = send("/plans/small/file", {"text": right, "tag": tag_of(text), "do": "check"})
    form = {"text": right, "tag": tag_of(text), "checked": hidden(checked.text, "checked"), "do": "save"}
    assert send("/plans/small/file", form).headers["location"] == "/plans"
    assert machine.files["plans.d/small.yaml"] == right


def test_text_of_a_file_is_text_of_the_page(ann: TestClient, machine: Machine) -> None:
    machine.files[FILE] = "</textarea><script>alert(1)</script>\n\n"
    page = ann.get(PATH).text
    assert "<script>alert" not in page
    assert "&lt;/textarea&gt;&lt;script&gt;" in page


def test_characters_that_are_not_seen_are_saved_as_they_were(ann: TestClient, send: Send, machine: Machine) -> None:
    machine.files[FILE] = text = "account: alice  #\ttab, \u202e and \u00ad\n"
    page = ann.get(PATH).text
    shown = unescape(page[page.index("<textarea") : page.index("</textarea>")].partition(">\n")[2])
    assert shown == text
    checked = send(PATH, {"text": f"{shown}#", "tag": tag_of(text), "do": "check"})
    send(PATH, {"text": f"{shown}#", "tag": tag_of(text), "checked": hidden(checked.text, "checked"), "do": "save"})
    assert machine.files[FILE] == f"{text}#"


def test_an_empty_first_line_is_kept(ann: TestClient, machine: Machine) -> None:
    """A browser drops the first line end in a textarea (HTML, 13.2.6.4.7)."""
    machine.files[FILE] = "\naccount: alice\n"
    assert ">\n\naccount: alice\n</textarea>" in ann.get(PATH).text


def test_a_file_that_is_too_long_is_not_sent(send: Send, helper: AdministratorsHelper) -> None:
    answer = send(PATH, {"text": "x" * (256 * 1024 + 1), "tag": tag_of(ALICE), "do": "check"})
    assert answer.status_code == 413
    assert not helper.links[0].asked


def test_removing_says_what_happens_and_asks_once_more(ann: TestClient, send: Send, machine: Machine) -> None:
    page = ann.get("/accounts/alice/remove").text
    assert "Its user, home, mails and databases stay" in page
    assert FILE in machine.files
    gone = send("/accounts/alice/remove", {"tag": hidden(page, "tag")})
    assert gone.headers["location"] == "/accounts"
    assert FILE not in machine.files
    assert "The file of alice was removed." in ann.get("/accounts").text
    assert "The file of alice was removed." not in ann.get("/accounts").text


def test_a_file_that_was_changed_meanwhile_is_not_removed(ann: TestClient, send: Send, machine: Machine) -> None:
    machine.files[FILE] += "# theirs\n"
    answer = send("/accounts/alice/remove", {"tag": tag_of(ALICE)})
    assert answer.headers["location"] == "/accounts/alice/remove"
    assert "Nothing was removed" in ann.get("/accounts/alice/remove").text
    assert FILE in machine.files


@pytest.mark.parametrize("line", ["#\n", "# {}: [é]\n", "\n"])
def test_the_longest_file_can_be_sent_as_a_form(line: str, send: Send, machine: Machine) -> None:
    size = SIZE_CAP - len(ALICE)
    text = ALICE + line * (size // len(line.encode()))
    answer = send(PATH, {"text": text.replace("\n", "\r\n"), "tag": tag_of(ALICE), "do": "check"})
    assert len(answer.request.content) > BODY_CAP or line == "#\n"
    assert len(answer.request.content) < FORM_CAP
    assert (answer.status_code, hidden(answer.text, "checked") != "") == (200, True)
    longer = send(PATH, {"text": text + "#" * SIZE_CAP, "tag": tag_of(ALICE), "do": "check"})
    assert (longer.status_code, "256 KiB" in longer.text) == (413, True)


def test_only_administrators_send_long_forms_and_only_with_a_file(log_in: Browser, send: Send) -> None:
    long = {"csrf": "x", "text": "a" * (BODY_CAP + 1)}
    assert send("/accounts/alice/freeze", long).status_code == 413
    assert send("/logout", long).status_code == 413
    alice = log_in("alice")
    assert alice.post(PATH, data=long, headers={"origin": ORIGIN}).status_code == 413
    alice.cookies.clear()
    assert alice.post("/login", data=long, headers={"origin": ORIGIN}).status_code == 413
    assert alice.post(PATH, data=long, headers={"origin": ORIGIN}, follow_redirects=False).status_code == 303


def test_a_longer_form_than_any_file_is_not_read(send: Send) -> None:
    assert send(PATH, {"text": "a" * FORM_CAP}).status_code == 413


def test_a_form_of_another_site_is_refused_before_it_is_read(ann: TestClient) -> None:
    text = "a" * (BODY_CAP + 1)
    answer = ann.post(PATH, data={"text": text}, headers={"origin": "http://evil.example"}, follow_redirects=False)
    assert answer.status_code == 403
