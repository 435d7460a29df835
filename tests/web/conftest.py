"""A site without a daemon, and browsers that have logged in."""

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from paas_isolate.web.app import app
from paas_isolate.web.guard import Guard
from paas_isolate.web.pages import login
from tests.support.web.fake_link import FakeHelper

ORIGIN = "http://testserver"
Browser = Callable[[str], TestClient]
"""Logs this user in."""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "PAUSE", 0.0)


@pytest.fixture
def helper() -> FakeHelper:
    return FakeHelper()


@pytest.fixture
def stranger(helper: FakeHelper) -> Iterator[TestClient]:
    """A browser without a login."""
    with TestClient(Guard(app(helper, secure=False)), base_url=ORIGIN) as client:
        yield client


@pytest.fixture
def log_in(stranger: TestClient) -> Browser:
    """Log in as this user."""

    def browser(user: str) -> TestClient:
        form = {"user": user, "password": "right"}
        answer = stranger.post("/login", data=form, headers={"origin": ORIGIN}, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return stranger

    return browser
