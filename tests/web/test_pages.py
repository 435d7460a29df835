"""The pages, with canned answers."""

from tests.web.conftest import Browser


def test_a_customer_sees_the_own_account(log_in: Browser) -> None:
    assert "<h1>alice</h1>" in log_in("alice").get("/").text
