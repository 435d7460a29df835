"""A site without a daemon, and browsers that have logged in."""

from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from paas_isolate.web.app import app
from paas_isolate.web.guard import Guard
from paas_isolate.web.pages import login
from tests.support.web.fake_link import FakeHelper

ORIGIN = "http://testserver"
Browser = Callable[[str], TestClient]
"""Logs this user in."""


class Guarded(Guard):
    """The application as it is served; its `state` is there for tests."""

    def __init__(self, made: Starlette) -> None:
        super().__init__(made)
        self.state = made.state


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "PAUSE", 0.0)


@pytest.fixture
def helper() -> FakeHelper:
    return FakeHelper()


@pytest.fixture
def stranger(helper: FakeHelper) -> Iterator[TestClient]:
    """A browser without a login."""
    with TestClient(Guarded(app(helper, secure=False)), base_url=ORIGIN) as client:
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
