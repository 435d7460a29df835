"""A machine for the command: its files under tmp_path."""

from pathlib import Path

import pytest

from tests.support.command_line import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


@pytest.fixture
def made(place: Place) -> Place:
    """With a tree that is as the files say, and root at the keyboard."""
    if place.etc.stat().st_uid != 0:
        pytest.skip("for root only files of root's count")
    place.tree()
    place.person(root=True)
    assert place("reconcile").exit_code == 0
    return place
