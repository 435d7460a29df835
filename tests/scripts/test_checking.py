"""What scripts/test counts, and that what failed is tried once more and reported as flaky."""

import subprocess
import sys
from pathlib import Path

import pytest
from checking.guests import FIRST
from checking.running import TWICE, Run, Stage, run_all
from checking.tally import Tally
from checking.tool_env import ToolEnv
from testbed.host import SOURCE

SHOP = ToolEnv(Path(sys.executable))
ONCE_BAD = """
import pathlib
def test_good(): pass
def test_flaky():
    seen = pathlib.Path({seen!r})
    if not seen.exists():
        seen.touch()
        assert False
def test_bad(): assert False
"""


def tallied(*lines: str) -> Tally:
    tally = Tally()
    for line in lines:
        tally.read(f"{line}\n")
    return tally


def test_summaries_of_all_runs_are_added() -> None:
    tally = tallied(
        "....s [100%]",
        "4 passed, 1 skipped, 2 deselected in 0.12s",
        "=== 1 failed, 3 passed, 2 errors in 65.00s (0:01:05) ===",
        "said in passing: 9 passed in 1s",
    )
    assert str(tally) == "7 passed, 1 failed, 2 error, 1 skipped, 2 deselected, 0 flaky"


def test_a_second_try_is_not_counted_again() -> None:
    tally = tallied(
        "1 failed, 3 passed in 2.00s",
        "tried again: 1",
        "1 passed, 3 deselected in 0.5s",
        "flaky: a.py::b",
        "2 passed in 1s",
    )
    assert str(tally) == "5 passed, 1 failed, 0 error, 0 skipped, 0 deselected, 1 flaky"


@pytest.mark.parametrize(("number", "status"), [(5, 0), (6, 1)])
def test_more_than_five_flaky_tests_fail_the_run(number: int, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    def run(run: Run) -> bool:
        for at in range(number):
            run.tally.read(f"flaky: test_{at}\n")
        return True

    assert run_all([Stage("odd", "flaky tests", run)], SHOP) == status
    said = capsys.readouterr().out
    assert said.count("flaky, failed and then passed: test_") == number
    assert f"tests: 0 passed, 0 failed, 0 error, 0 skipped, 0 deselected, {number} flaky" in said


def test_what_failed_is_tried_once_more(tmp_path: Path) -> None:
    tests = tmp_path / "test_it.py"
    tests.write_text(ONCE_BAD.format(seen=str(tmp_path / "seen")))
    words = ["-p", "no:xdist", "-c", "/dev/null", "--rootdir", str(tmp_path), str(tests)]
    done = subprocess.run([sys.executable, SOURCE / TWICE, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    tally = tallied(*done.stdout.splitlines())
    assert tally.flaky == ["test_it.py::test_flaky"]
    assert (tally.counts["passed"], tally.counts["failed"]) == (1, 2)


def test_stages_of_a_group_run_at_the_same_time_and_each_prints_in_one_piece(capfd: pytest.CaptureFixture[str]) -> None:
    def stage(name: str) -> Stage:
        return Stage(
            name, "two lines", lambda run: run.call("sh", "-c", f"echo {name}1; sleep 0.1; echo {name}2"), "both"
        )

    assert run_all([stage("left"), stage("right")], SHOP) == 0
    said = capfd.readouterr().out
    assert "left1\nleft2\n" in said
    assert "right1\nright2\n" in said
    assert said.endswith("stages: 2 passed, 0 failed\n")


def test_the_files_of_the_first_guest_are_there() -> None:
    assert all((SOURCE / "tests/guest" / name).is_file() for name in FIRST)
