"""Only one run at a time, and the lock names it."""

import os
from pathlib import Path

import pytest

from paas_isolate.errors import BusyError
from paas_isolate.linux.system.lock import held, holder


def test_who_waits_is_told_for_whom(tmp_path: Path) -> None:
    path = str(tmp_path / "run" / "lock")
    said: list[str] = []
    with held(path):
        with pytest.raises(BusyError, match=f"another run is at work: process {os.getpid()} \\("), held(path):
            pass
        with pytest.raises(BusyError), held(path, wait=0.25, waits=said.append):
            pass
    assert len(said) == 1
    assert said[0].startswith(f"waits for another run: process {os.getpid()} (")
    with held(path, wait=1, waits=said.append):
        assert len(said) == 1, "nobody to wait for"


def test_nobody_holds_a_file_that_is_not_locked(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        assert holder(file.fileno()) == 0
