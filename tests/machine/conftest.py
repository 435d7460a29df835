"""Tests that drive a running test machine from outside, because it reboots: `scripts/test` names it."""

import os
from pathlib import Path

import pytest
from testbed.guest import Guest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("machine")


@pytest.fixture(scope="session")
def guest() -> Guest:
    name = os.environ.get("PAAS_ISOLATE_GUEST")
    if not name:
        pytest.exit("name a guest that runs: PAAS_ISOLATE_GUEST=default pytest -m machine tests/machine", returncode=4)
    return Guest.running(name)
