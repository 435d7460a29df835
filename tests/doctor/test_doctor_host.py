"""The machine, as the doctor examines it."""

import os
from pathlib import Path

import pytest

from paas_isolate.doctor.check import Verdict
from paas_isolate.doctor.host import _specifications


@pytest.mark.skipif(os.geteuid() != 0, reason="the directory must be root's")
def test_directories_that_everybody_may_look_into_are_told_with_the_command_that_closes_them(tmp_path: Path) -> None:
    accounts, plans = tmp_path / "accounts.d", tmp_path / "plans.d"
    for directory in (accounts, plans):
        directory.mkdir()
        directory.chmod(0o750)
    tmp_path.chmod(0o755)
    assert _specifications(str(tmp_path)).verdict == Verdict.OK
    accounts.chmod(0o755)
    found = _specifications(str(tmp_path))
    assert (found.verdict, found.mend) == (Verdict.FAILED, f"chmod o-rwx {accounts}")
    assert "everybody may look into" in found.found
