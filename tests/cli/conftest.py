"""A machine for the command: its files under tmp_path."""

from pathlib import Path

import pytest
from command_line import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)
