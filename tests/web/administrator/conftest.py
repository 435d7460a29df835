"""Browsers of an administrator and of a customer, at a machine whose files can be edited."""

import re
from collections.abc import Callable, Mapping
from html import unescape

import httpx
import pytest
from starlette.testclient import TestClient

from tests.support.web.administrator import AdministratorsHelper, Machine
from tests.web.conftest import ORIGIN, Browser

Send = Callable[..., httpx.Response]


@pytest.fixture
def machine() -> Machine:
    return Machine(250)


@pytest.fixture
def helper(machine: Machine) -> AdministratorsHelper:
    return AdministratorsHelper(machine)


@pytest.fixture
def ann(log_in: Browser) -> TestClient:
    """The browser of an administrator."""
    return log_in("ann")


@pytest.fixture
def send(ann: TestClient) -> Send:
    """Send a form of ann's, with the token of a page of hers; redirects are not followed."""

    def post(path: str, fields: Mapping[str, str] | None = None) -> httpx.Response:
        token = hidden(ann.get("/new-account").text, "csrf")
        form = {"csrf": token, **(fields or {})}
        answer: httpx.Response = ann.post(path, data=form, headers={"origin": ORIGIN}, follow_redirects=False)
        return answer

    return post


def hidden(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    assert found, f"no field {name}"
    return unescape(found[1])
