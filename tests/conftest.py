"""What all tests share."""

import os
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.support")

try:
    from hypothesis import settings
except ModuleNotFoundError:
    pass  # the test machine has none: tests/guest brings its cases along
else:
    settings.register_profile("quick", max_examples=60, deadline=None)  # a machine at work
    settings.register_profile("thorough", max_examples=20_000, deadline=None)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

TESTS = Path(__file__).parent
LONGEST = (TESTS / "scripts", TESTS / "source")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes seconds: begun last, one worker would still be at it when the others have nothing to do."""
    items.sort(key=lambda item: item.path.parent not in LONGEST)
