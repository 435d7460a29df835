"""Every path with every method: without a login, with too small a scope, and with another customer's login."""

import itertools
from collections.abc import Iterator

import pytest

from paas_isolate.control.table import VERBS, About, Access, Scope, Verb
from paas_isolate.web.api import OPERATIONS
from tests.support.web.api_client import ApiClient, path_of
from tests.support.web.control_link import FakeDaemon

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")
PATHS = (
    *sorted({path_of(verb) for verb in VERBS}),
    OPERATIONS.format(operation="0011223344556677"),
    "/v1/",
    "/v1/none",
)


@pytest.fixture(scope="module")
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture(autouse=True)
def nothing_was_done(daemon: FakeDaemon) -> Iterator[None]:
    daemon.asked.clear()
    yield
    assert not daemon.asked
    assert not daemon.bugs


@pytest.mark.parametrize("path", PATHS)
def test_without_a_login_each_method_of_each_path_is_refused(daemon: FakeDaemon, path: str) -> None:
    client = ApiClient(daemon, "")
    for method in METHODS:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic cm9vdDo="}):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401, method
            assert answer.headers["www-authenticate"].startswith("Bearer")


def below(verb: Verb) -> list[str]:
    return [scope.name.lower() for scope in Scope if scope < verb.needs]


SMALLER = [
    pytest.param(verb, f"{who}-{scope}", id=f"{verb.name}-{who}-{scope}")
    for verb, who in itertools.product(VERBS, ("root", "alice"))
    for scope in below(verb)
]


@pytest.mark.parametrize(("verb", "login"), SMALLER)
def test_a_scope_that_is_too_small_is_refused(daemon: FakeDaemon, verb: Verb, login: str) -> None:
    answer = ApiClient(daemon, login).ask(verb)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    "verb", [verb for verb in VERBS if verb.access is Access.ADMINISTRATOR], ids=lambda verb: verb.name
)
def test_a_customer_asks_for_nothing_of_an_administrator(daemon: FakeDaemon, verb: Verb) -> None:
    for login in ("alice", "bob", "nobody"):
        assert ApiClient(daemon, login).ask(verb).status_code == 403


OF_ACCOUNT = [verb for verb in VERBS if verb.about in (About.ACCOUNT, About.NAME)]


@pytest.mark.parametrize(
    "verb", [each for each in OF_ACCOUNT if each.access is Access.CUSTOMER], ids=lambda verb: verb.name
)
def test_another_customers_account_looks_like_none(daemon: FakeDaemon, verb: Verb) -> None:
    client = ApiClient(daemon, "bob")
    theirs = client.ask(verb)
    nobodys = client.ask(verb, account="clice")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.text.replace("alice", "clice") == nobodys.text


@pytest.mark.parametrize("verb", OF_ACCOUNT, ids=lambda verb: verb.name)
def test_a_token_of_some_accounts_finds_no_other(daemon: FakeDaemon, verb: Verb) -> None:
    assert ApiClient(daemon, "root-bob").ask(verb).status_code == 404


EVERYBODY = [verb for verb in VERBS if verb.access is Access.ADMINISTRATOR and verb not in OF_ACCOUNT]


@pytest.mark.parametrize("verb", EVERYBODY, ids=lambda verb: verb.name)
def test_a_token_of_some_accounts_asks_nothing_about_all(daemon: FakeDaemon, verb: Verb) -> None:
    assert ApiClient(daemon, "root-bob").ask(verb).status_code == 403


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_is_not_there_is_refused(daemon: FakeDaemon, path: str) -> None:
    client = ApiClient(daemon)
    for method in ("PATCH", "TRACE", "PROPFIND"):
        answer = client.request(method, path)
        known = path not in ("/v1/", "/v1/none")
        assert answer.status_code == (405 if known else 404)
        assert ("allow" in answer.headers) == known
