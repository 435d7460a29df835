"""The condition of a service, in words."""

from datetime import datetime

import pytest

from paas_isolate.changes.conditions import Condition, condition
from paas_isolate.changes.supervision import ManagedService
from paas_isolate.model.run import MANY, ProgramExit, Result, Run
from paas_isolate.model.service_program import ServiceProgram
from tests.support.supervised import ILL, NOW, WEB, WELL, keep, program, ran, sell

PROGRAM = program()
SERVE = PROGRAM[WEB]
LIVES = ran(PROGRAM, alive=True)
NEXT = "it starts with the next run"


def told(kept: ManagedService, run: Run | None, *, astray: str = "", now: float = NOW) -> tuple[str, str]:
    found = condition(kept, run, astray=astray, now=now)
    return found.state, found.detail


def test_who_runs_is_told_with_pid_and_since_when() -> None:
    assert condition(SERVE, LIVES, astray="", now=NOW) == Condition("running", "", NOW, 7)


@pytest.mark.parametrize(
    ("run", "astray", "expected"),
    [
        (LIVES._replace(starts=(NOW - 500, NOW)), "", ("running", "")),
        (LIVES._replace(starts=(NOW - 50, NOW)), "", ("running", "started 2 times lately")),
        (LIVES, "does not listen on 10.77.0.2 port 80", ("starting", "does not listen on 10.77.0.2 port 80")),
        (LIVES._replace(unhealthy=True), "does not listen", ("unhealthy", "its health checks fail")),
        (
            LIVES._replace(unhealthy=True, stop_requested_at=NOW, why="its health checks fail"),
            "",
            ("stopping", "its health checks fail"),
        ),
    ],
)
def test_who_runs(run: Run, astray: str, expected: tuple[str, str]) -> None:
    assert told(SERVE, run, astray=astray) == expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (None, ("waiting", NEXT)),
        (Run("", since=NOW), ("waiting", NEXT)),
        (ran(PROGRAM, end=ILL), ("restarting", "the last ended with exit status 1; it starts again in 1 s")),
        (ran(PROGRAM, end=WELL, starts=4), ("restarting", "the last ended with exit status 0; it starts again in 8 s")),
        (
            ran(PROGRAM, end=ProgramExit(signal=9, at=NOW, oom_killed=True)),
            ("restarting", "the last ended with killed: out of memory; it starts again in 1 s"),
        ),
        (
            ran(PROGRAM, end=ILL, starts=MANY),
            ("failed", "too many starts in a short time, the last ended with exit status 1"),
        ),
        (
            ran(PROGRAM, end=ProgramExit(signal=11, at=NOW), given_up=True),
            ("failed", "too many starts in a short time, the last ended with signal 11"),
        ),
        (ran(PROGRAM, end=ILL, given_up=True, restart_requested=True), ("waiting", NEXT)),
        (ran(PROGRAM, end=ILL, given_up=True)._replace(digest="old"), ("waiting", NEXT)),
        (ran(PROGRAM, end=ProgramExit(signal=15, at=NOW), stop_requested_at=NOW), ("waiting", NEXT)),
    ],
)
def test_who_does_not_run_is_told_with_what_comes_next(run: Run | None, expected: tuple[str, str]) -> None:
    assert told(SERVE, run) == expected


@pytest.mark.parametrize(
    ("restart", "starts", "end", "expected"),
    [
        ("never", 1, WELL, ("ended", "exit status 0")),
        ("never", 1, ILL, ("failed", "exit status 1")),
        ("on-failure", 1, WELL, ("ended", "exit status 0")),
        ("on-failure", MANY, WELL, ("ended", "exit status 0")),
        ("never", 1, ProgramExit(at=NOW), ("failed", "killed, with all that was in its leaf")),
        ("never", 1, ProgramExit(signal=15, at=NOW), ("failed", "signal 15")),
    ],
)
def test_an_end_is_the_end(restart: str, starts: int, end: ProgramExit, expected: tuple[str, str]) -> None:
    kept = program(restart=restart)
    assert told(kept[WEB], ran(kept, starts=starts, end=end)) == expected


@pytest.mark.parametrize("run", [None, ran(PROGRAM, end=ILL), ran(PROGRAM, end=ILL, given_up=True)])
def test_who_is_not_to_run_says_by_whom(run: Run | None) -> None:
    assert told(keep(sell(ServiceProgram("serve")), stopped=["alice/web"])[WEB], run) == ("stopped", "stopped by hand")
    assert told(keep(sell(ServiceProgram("serve")), held=["alice/web"])[WEB], run) == ("frozen", "")
    for suspension in ("freeze", "stop"):
        kept = keep(sell(ServiceProgram("serve"), suspended=True, suspension=suspension))
        assert told(kept[WEB], run) == ("suspended", "")


def test_who_stands_still_is_frozen() -> None:
    assert told(keep(sell(ServiceProgram("serve")), held=["alice"])[WEB], LIVES) == ("frozen", "")
    assert told(keep(sell(ServiceProgram("serve"), suspended=True))[WEB], LIVES) == ("frozen", "")


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}"


def test_a_job_tells_of_the_run_before_a_boot_and_before_this_one() -> None:
    kept = program(schedule="* * * * *")
    job, soon = kept[WEB], clock(NOW + 40)
    killed = ProgramExit(signal=9, at=NOW - 500, oom_killed=True)
    before = Result(NOW - 600, killed, succeeded=NOW - 9000)
    waits = Run("", since=NOW, last=before)
    last = f"the last, of {clock(NOW - 600)}, ended with killed: out of memory (well at {clock(NOW - 9000)})"
    assert told(job, waits) == ("failed", f"{last}, next at {soon}")
    assert told(job, ran(kept, alive=True, last=before)) == ("running", last)
    found = condition(job, waits, astray="", now=NOW)
    assert found.last == {
        "begun": NOW - 600, "ended": NOW - 500, "status": None, "signal": 9, "out_of_memory": True,
        "succeeded": NOW - 9000,
    }  # fmt: skip
    again = condition(job, ran(kept, end=ILL, last=before), astray="", now=NOW).last
    assert again == Result(NOW, ILL, succeeded=NOW - 9000).plain(), "and it has still ended well then"
    well = condition(job, ran(kept, end=WELL, last=before), astray="", now=NOW).last
    assert well == Result(NOW, WELL, succeeded=NOW).plain()


def test_what_is_no_job_has_no_result() -> None:
    assert condition(SERVE, ran(PROGRAM, end=ILL), astray="", now=NOW).last is None


def test_a_job_tells_its_last_result_and_its_next_time() -> None:
    kept = program(schedule="* * * * *")
    job = kept[WEB]
    soon = clock(NOW + 40)
    assert told(job, None) == ("waiting", "it is due from the next run on")
    assert told(job, Run("", since=NOW)) == ("waiting", f"next at {soon}")
    last = f"the last, of {clock(NOW)}, ended"
    assert told(job, ran(kept, end=WELL)) == ("waiting", f"{last} well, next at {soon}")
    assert told(job, ran(kept, end=ILL)) == ("failed", f"{last} with exit status 1 (never well), next at {soon}")
    assert told(job, ran(kept, alive=True)) == ("running", "")
    assert told(keep(sell(ServiceProgram("x", schedule="* * * * *")), stopped=["alice/web"])[WEB], None)[0] == "stopped"
