"""A machine for the command: its files are under tmp_path."""

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(tmp_path, monkeypatch)


@pytest.fixture
def made(place: CommandLine) -> CommandLine:
    """With a tree that is as the files say, and root at the keyboard."""
    if place.etc.stat().st_uid != 0:
        pytest.skip("for root only files of root's count")
    place.tree()
    place.person(root=True)
    assert place("reconcile").exit_code == 0
    return place
