"""A real browser, at a page that runs elsewhere. Playwright's Python and a Chromium are needed, and in the environment:

PAAS_ISOLATE_PAGE        the page, such as http://127.0.0.1:8421
PAAS_ISOLATE_CUSTOMER    name:password of a customer, whose account has a service that is run
PAAS_ISOLATE_ADMINISTRATOR    name:password
PAAS_ISOLATE_BROWSER     the program (Playwright's own Chromium without it)
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGE = os.environ.get("PAAS_ISOLATE_PAGE", "")


class Person(NamedTuple):
    user: str
    password: str


LogIn = Callable[[Person], "Page"]


@pytest.fixture(scope="session", autouse=True)
def page_is_there() -> None:
    if not PAGE:
        pytest.skip("PAAS_ISOLATE_PAGE names no page")


def _person(variable: str) -> Person:
    user, _, password = os.environ[variable].partition(":")
    return Person(user, password)


@pytest.fixture(scope="session")
def customer() -> Person:
    return _person("PAAS_ISOLATE_CUSTOMER")


@pytest.fixture(scope="session")
def administrator() -> Person:
    return _person("PAAS_ISOLATE_ADMINISTRATOR")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        program = os.environ.get("PAAS_ISOLATE_BROWSER")
        # The pages are ours; as root Chromium has no sandbox.
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def visit(browser: "Browser") -> "Iterator[Page]":
    """A window without a login. What its page throws, and what its policy refuses, fails the test."""
    window = browser.new_context(base_url=PAGE, ignore_https_errors=True)
    page = window.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Content Security" in message.text else None)
    yield page
    window.close()
    assert not wrong


@pytest.fixture
def log_in(visit: "Page") -> LogIn:
    def in_window(person: Person) -> "Page":
        visit.goto("/login")
        visit.get_by_label("User").fill(person.user)
        visit.get_by_label("Password").fill(person.password)
        visit.get_by_role("button", name="Log in").click()
        visit.wait_for_url(lambda url: "/login" not in url)
        return visit

    return in_window
