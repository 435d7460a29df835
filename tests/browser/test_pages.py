"""What a person does with the pages, in a real browser (conftest.py says what is needed)."""

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import LogIn, Person

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

OF_ADMINISTRATORS = (
    "/accounts",
    "/host",
    "/differences",
    "/coverage",
    "/doctor",
    "/network",
    "/events",
    "/plans",
    "/bill",
    "/advice",
    "/tokens",
    "/new-account",
)
_PHONE = {"width": 360, "height": 740}


def _heading(page: "Page") -> str:
    words: str = page.get_by_role("heading", level=1).inner_text()
    return words


def test_a_customer_logs_in_and_out(log_in: LogIn, customer: Person) -> None:
    page = log_in(customer)
    assert customer.user in _heading(page)
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login*")
    page.go_back()
    page.reload()
    assert "/login" in page.url


def test_a_wrong_password_is_said_and_nothing_else(visit: "Page", customer: Person) -> None:
    visit.goto("/login")
    visit.get_by_label("User").fill(customer.user)
    visit.get_by_label("Password").fill("not the password")
    visit.get_by_role("button", name="Log in").click()
    visit.get_by_role("alert").wait_for()
    assert "/login" in visit.url
    assert visit.get_by_label("Password").input_value() == ""


def test_a_customer_finds_no_page_of_administrators(log_in: LogIn, customer: Person) -> None:
    page = log_in(customer)
    for path in OF_ADMINISTRATORS:
        answer = page.goto(path)
        assert answer and answer.status == 404, path
        assert customer.user not in page.locator("main").inner_text()


def test_a_customer_restarts_a_service(log_in: LogIn, customer: Person) -> None:
    page = log_in(customer)
    page.get_by_role("button", name="Restart").first.click()
    page.get_by_role("status").first.wait_for()
    assert "restart" in page.locator("main").inner_text().lower()


def test_a_live_chart_moves(log_in: LogIn, customer: Person) -> None:
    page = log_in(customer)
    page.locator("figure canvas").first.wait_for()
    drawn = "document.querySelector('figure canvas').toDataURL()"
    before = page.evaluate(drawn)
    page.wait_for_function(f"(before) => {drawn} !== before", arg=before, timeout=40_000)


def test_an_administrator_searches_while_typing(log_in: LogIn, administrator: Person, customer: Person) -> None:
    page = log_in(administrator)
    page.goto("/accounts")
    page.get_by_label("Name, plan or owner").press_sequentially(customer.user)
    page.wait_for_url(f"**search={customer.user}*")
    assert page.get_by_role("rowheader", name=customer.user).count() >= 1
    page.go_back()
    page.wait_for_url(lambda url: "search" not in url)


def test_a_file_is_edited_wrongly_and_rightly(log_in: LogIn, administrator: Person, customer: Person) -> None:
    page = log_in(administrator)
    page.goto(f"/accounts/{customer.user}/file")
    editor = page.get_by_label("The account's file")
    before = editor.input_value()
    editor.fill(f"{before.rstrip()}\nmemory: 5 12M\n")
    page.get_by_role("button", name="Check").click()
    page.get_by_role("alert").wait_for()
    page.locator("#complaints a").first.click()
    assert page.evaluate("document.activeElement.id") == "text"
    assert page.get_by_role("button", name="Save").count() == 0
    editor.fill(f"{before.rstrip()}\n# seen\n")
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").first.wait_for()
    page.goto(f"/accounts/{customer.user}/file")
    assert "# seen" in editor.input_value()
    editor.fill(before)
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").first.wait_for()


def test_a_file_that_was_changed_meanwhile_is_not_overwritten(
    log_in: LogIn, administrator: Person, customer: Person
) -> None:
    page = log_in(administrator)
    page.goto(f"/accounts/{customer.user}/file")
    editor = page.get_by_label("The account's file")
    before = editor.input_value()
    other = page.context.new_page()
    other.goto(page.url)
    for window, text in ((other, f"{before.rstrip()}\n# theirs\n"), (page, f"{before.rstrip()}\n# mine\n")):
        window.get_by_label("The account's file").fill(text)
        window.get_by_role("button", name="Check").click()
        if window is other:
            window.get_by_role("button", name="Save").click()
            window.get_by_role("status").first.wait_for()
    page.get_by_role("heading", name="Somebody else has changed").wait_for()
    assert "# theirs" in page.locator("main").inner_text()
    assert "# mine" in editor.input_value()
    other.goto(f"/accounts/{customer.user}/file")
    other.get_by_label("The account's file").fill(before)
    other.get_by_role("button", name="Check").click()
    other.get_by_role("button", name="Save").click()
    other.get_by_role("status").first.wait_for()


def _serious(page: "Page") -> list[str]:
    """What axe-core finds that a person would stumble over."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found: list[dict[str, Any]] = axe.run(page).response["violations"]
    return [
        f"{page.url}: {each['id']}: {node['target']}: {node.get('failureSummary', '')}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 800}, _PHONE])
def test_axe_finds_nothing_serious(
    log_in: LogIn, administrator: Person, customer: Person, scheme: Any, size: Any
) -> None:
    page = log_in(administrator)
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    of_account = f"/accounts/{customer.user}"
    wrong: list[str] = []
    for path in (*OF_ADMINISTRATORS, of_account, f"{of_account}/file", f"{of_account}/freeze", f"{of_account}/remove"):
        page.goto(path)
        wrong += _serious(page)
    page.context.clear_cookies()
    page.goto("/login")
    assert not [*wrong, *_serious(page)]


def test_no_page_is_wider_than_a_phone(log_in: LogIn, administrator: Person, customer: Person) -> None:
    page = log_in(administrator)
    page.set_viewport_size(_PHONE)
    wide = []
    for path in (*OF_ADMINISTRATORS, f"/accounts/{customer.user}", f"/accounts/{customer.user}/file"):
        page.goto(path)
        if (width := page.evaluate("document.documentElement.scrollWidth")) > _PHONE["width"]:
            wide.append(f"{path}: {width}")
    assert not wide


def test_pages_work_by_keyboard_alone(log_in: LogIn, administrator: Person, customer: Person) -> None:
    page = log_in(administrator)
    page.goto("/accounts")
    page.get_by_label("Name, plan or owner").focus()
    page.keyboard.type(customer.user)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**search={customer.user}*")
    page.get_by_role("rowheader", name=customer.user).get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/accounts/{customer.user}")
