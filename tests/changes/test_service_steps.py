"""The steps from the services that run to those that should run, one pass at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.changes.order import rank
from paas_isolate.changes.service_steps import service_steps
from paas_isolate.changes.supervision import ManagedServices, desired_services
from paas_isolate.model.run import MANY, NO_WISH, DesiredServices, ProgramExit, Result, Run
from paas_isolate.model.service_program import Failure, ServiceProgram
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.service import (
    ForgetRun,
    GiveUp,
    Kill,
    NotifyFailure,
    SaveResult,
    ScheduleJob,
    Start,
    Stop,
)
from paas_isolate.model.world import ObservedWorld
from tests.support.supervised import ILL, NOW, TWO, WEB, WELL, keep, program, ran, sell, wished

KEPT = program()
BEGIN = Start(WEB, KEPT[WEB].launch)
LIVES = ran(KEPT, alive=True)
ENDED = ran(KEPT, end=ILL)


def steps(wish: DesiredServices, run: Run | None, *, members: bool, now: float = NOW) -> list[Step]:
    world = ObservedWorld(members={WEB: (7,)} if members else {}, runs={WEB: run} if run else {})
    return list(service_steps(wish, world, now))


def of(kept: ManagedServices, run: Run | None, *, members: bool, now: float = NOW) -> list[Step]:
    return steps(wished(kept, {WEB: run} if run else {}, now=now), run, members=members, now=now)


CASES: dict[str, tuple[Run | None, bool, list[Step]]] = {
    "never ran": (None, False, [BEGIN]),
    "runs": (LIVES, True, []),
    "changed": (
        LIVES._replace(digest="old"),
        True,
        [Stop(WEB, "what it is begun with has changed", 10_000)],
    ),
    "changed, and has ended": (ENDED._replace(digest="old"), False, [BEGIN]),
    "ordered": (LIVES._replace(restart_requested=True), True, [Stop(WEB, "a new start was ordered", 10_000)]),
    "unwell": (LIVES._replace(unhealthy=True), True, [Stop(WEB, "its health checks fail", 10_000)]),
    "asked": (LIVES._replace(stop_requested_at=NOW, kill_at=NOW + 61), True, []),
    "asked long ago": (
        LIVES._replace(stop_requested_at=NOW, kill_at=NOW + 60),
        True,
        [Kill(WEB, "it was asked to end, and has not")],
    ),
    "killed a moment ago": (
        LIVES._replace(stop_requested_at=NOW, kill_at=NOW + 50, killed=NOW + 59.5, kills=1),
        True,
        [],
    ),
    "killed, and it did not die": (
        LIVES._replace(stop_requested_at=NOW, kill_at=NOW + 50, killed=NOW + 56, kills=3),
        True,
        [Kill(WEB, "it was asked to end, and has not", 3)],
    ),
    "ended": (ENDED, False, [BEGIN]),
    "ended, and left somebody behind": (
        ENDED,
        True,
        [Stop(WEB, "what is left in its leaf ends before it begins", 10_000, tidy=True)],
    ),
    "ended, and who was left behind was asked": (
        ENDED._replace(stop_requested_at=NOW, kill_at=NOW + 60),
        True,
        [Kill(WEB, "it was asked to end, and has not")],
    ),
    "a stranger is where it is to begin": (
        None,
        True,
        [Stop(WEB, "what is left in its leaf ends before it begins", 10_000)],
    ),
    "a crash loop": (
        ran(KEPT, starts=MANY, end=ILL),
        False,
        [GiveUp(WEB, "5 starts in 120 s, the last ended with exit status 1")],
    ),
    "given up": (ran(KEPT, starts=MANY, end=ILL, given_up=True), False, []),
}


@pytest.mark.parametrize("case", CASES)
def test_a_service_that_is_wanted(case: str) -> None:
    run, members, expected = CASES[case]
    assert of(KEPT, run, members=members, now=NOW + 60) == expected


@pytest.mark.parametrize(
    ("run", "members", "expected"),
    [
        (LIVES, True, [Stop(WEB, "stopped by hand", 3000)]),
        (LIVES._replace(stop_requested_at=NOW, kill_at=NOW + 1), True, []),
        (LIVES._replace(stop_requested_at=NOW, kill_at=NOW), True, [Kill(WEB, "it was asked to end, and has not")]),
        (ENDED, False, []),
        (None, False, []),
        (None, True, []),
    ],
)
def test_a_service_that_was_stopped_ends_and_is_remembered(
    run: Run | None, members: bool, expected: list[Step]
) -> None:
    kept = keep(sell(ServiceProgram("serve", stop_timeout=3000)), stopped=["alice/web"])
    assert of(kept, run, members=members) == expected


@pytest.mark.parametrize(
    ("run", "members", "expected"),
    [
        (LIVES, True, [Stop(WEB, "it is not wanted any more", 10_000)]),
        (LIVES._replace(stop_requested_at=NOW, kill_at=NOW), True, [Kill(WEB, "it was asked to end, and has not")]),
        (ENDED, False, [ForgetRun(WEB)]),
        (Run("", since=NOW), False, [ForgetRun(WEB)]),
    ],
)
def test_a_service_that_is_there_no_more_ends_and_is_forgotten(run: Run, members: bool, expected: list[Step]) -> None:
    assert steps(NO_WISH, run, members=members) == expected


@pytest.mark.parametrize("run", [LIVES, LIVES._replace(stop_requested_at=NOW, kill_at=0), ENDED, None])
def test_what_is_left_as_it_is_is_left(run: Run | None) -> None:
    assert steps(DesiredServices({WEB: None}), run, members=bool(run)) == []


def test_a_job_begins_to_wait_then_runs_when_it_is_time() -> None:
    job = program(schedule="* * * * *")
    digest = job[WEB].launch.digest
    assert of(job, None, members=False) == [ScheduleJob(WEB, digest)]
    waits = Run(digest, since=NOW)
    assert of(job, waits, members=False, now=NOW + 39) == []
    assert of(job, waits, members=False, now=NOW + 40) == [Start(WEB, job[WEB].launch)]
    assert of(job, ran(job, alive=True), members=True, now=NOW + 400) == []
    assert of(job, ran(job, end=WELL, remembered=True), members=False, now=NOW + 1) == []


def test_the_result_of_a_job_is_remembered_once_and_before_the_next_run() -> None:
    job = program(schedule="* * * * *")
    ended = ran(job, end=ILL)
    remember = SaveResult(WEB, Result(NOW, ILL))
    assert str(remember) == "remember that alice/web ended with exit status 1"
    assert of(job, ended, members=False, now=NOW + 1) == [remember]
    assert of(job, ended, members=True, now=NOW + 1) == [remember], "its hook may still run"
    assert of(job, ended, members=False, now=NOW + 60) == [remember, Start(WEB, job[WEB].launch)]
    assert rank(remember) < rank(Start(WEB, job[WEB].launch))
    assert of(job, ended._replace(remembered=True), members=False, now=NOW + 1) == []
    assert of(job, ran(job, alive=True), members=True) == []


def test_the_result_of_a_job_that_is_left_as_it_is_is_remembered_too() -> None:
    for kept in (
        keep(sell(ServiceProgram("serve", schedule="* * * * *")), stopped=["alice/web"]),
        keep(sell(ServiceProgram("serve", schedule="* * * * *")), held=["alice"]),
    ):
        assert of(kept, ran(kept, end=WELL), members=False) == [SaveResult(WEB, Result(NOW, WELL, NOW))]


@pytest.mark.parametrize("how", [{"suspension": "freeze"}, {"suspension": "stop"}])
def test_a_time_that_passes_while_a_job_may_not_run_is_left_out(how: dict[str, str]) -> None:
    """Whoever is let go on after a month does not run at once what was due at night: nor do five hundred others."""
    job = keep(sell(ServiceProgram("serve", schedule="* * * * *"), suspended=True, **how))  # type: ignore[arg-type]
    for run in (Run("", since=NOW), ran(job, end=WELL, remembered=True)):
        wait = [ScheduleJob(WEB, run.digest)]
        assert of(job, run, members=False, now=NOW + 39) == []
        assert wished(job, {WEB: run}).due_times == {WEB: NOW + 40}
        assert of(job, run, members=False, now=NOW + 40) == wait
        assert of(job, run._replace(since=NOW + 40), members=False, now=NOW + 41) == []
    ended = ran(job, end=ILL)
    assert of(job, ended, members=False, now=NOW + 60) == [SaveResult(WEB, Result(NOW, ILL))], "first things first"
    assert of(job, None, members=False) == []


def test_of_who_was_killed_with_its_keeper_somebody_is_told() -> None:
    hears = Failure(run="./hook")
    job = program(schedule="* * * * *", on_failure=hears)
    how = "killed, with all that was in its leaf"
    gone = ran(job, end=ProgramExit(at=NOW), remembered=True)
    tell, begin = NotifyFailure(WEB, job[WEB].launch, how), Start(WEB, job[WEB].launch)
    assert str(tell) == f"tell how alice/web ended: {how}"
    assert of(job, gone, members=False) == [tell]
    assert of(job, gone, members=False, now=NOW + 60) == [tell, begin]
    starved = gone._replace(end=ProgramExit(at=NOW, oom_killed=True))
    assert of(job, starved, members=False) == [tell._replace(how="killed: out of memory")]
    for run, members in (
        (gone._replace(notified=True), False),
        (gone._replace(stop_requested_at=NOW), False),
        (gone._replace(pid=0), False),  # it never began
        (ran(job, end=ILL, remembered=True), False),  # its keeper has told
        (ran(job, end=ProgramExit(signal=9, at=NOW), remembered=True), False),
        (ran(job, alive=True), True),
    ):
        assert of(job, run, members=members) == [], run
    assert desired_services(job, {WEB: gone}, {WEB}, NOW, lambda *_: ()).failure_unreported == {}, (
        "what is left of it goes first"
    )
    stopped = keep(sell(ServiceProgram("serve", schedule="* * * * *", on_failure=hears)), stopped=["alice/web"])
    assert of(stopped, gone, members=False) == []
    nobody = program(schedule="* * * * *")
    assert of(nobody, ran(nobody, end=ProgramExit(at=NOW), remembered=True), members=False) == []


def test_a_time_that_passes_while_a_job_runs_is_left_out() -> None:
    job = program(schedule="* * * * *")
    long = ran(job, end=WELL._replace(at=NOW + 100), remembered=True)
    assert of(job, long, members=False, now=NOW + 101) == []
    assert of(job, long, members=False, now=NOW + 160) == [Start(WEB, job[WEB].launch)]


def test_nothing_is_remembered_of_what_is_no_job() -> None:
    assert of(KEPT, ENDED, members=False, now=NOW + 60) == [BEGIN]


def test_a_job_of_a_time_that_has_not_come_waits_anew() -> None:
    """A clock that was a year ahead: by what is noted it would run in a year."""
    job = program(schedule="* * * * *")
    year = 365 * 86_400.0
    wait = ScheduleJob(WEB, job[WEB].launch.digest)
    for run in (
        Run("", since=NOW + year),
        Run("", starts=(NOW + year,), end=WELL._replace(at=NOW + year), remembered=True),
    ):
        assert of(job, run.by(NOW), members=False) == [wait]
        assert of(job, run._replace(restart_requested=True).by(NOW), members=False) == [Start(WEB, job[WEB].launch)]
    lives = Run("", starts=(NOW + year,), alive=True).by(NOW)
    assert of(job, lives, members=True) == []
    soon = Run("", starts=(NOW + 30,), end=WELL, remembered=True).by(NOW)
    assert of(job, soon, members=False) == [], "by so much clocks are set right"


def test_steps_of_others_do_not_depend_on_one_another() -> None:
    kept = program(replicas=2)
    world = ObservedWorld(members={WEB: (7,)}, runs={WEB: ran(kept, alive=True)})
    assert list(service_steps(wished(kept, world.runs), world, NOW)) == [Start(TWO, kept[TWO].launch)]


RUNS = st.builds(
    Run,
    digest=st.sampled_from(["old", KEPT[WEB].launch.digest]),
    since=st.just(0.0),
    starts=st.lists(st.floats(NOW - 500, NOW), max_size=MANY).map(lambda times: tuple(sorted(times))),
    pid=st.just(7),
    start=st.just(70),
    alive=st.booleans(),
    end=st.sampled_from([ProgramExit(), WELL, ILL, ProgramExit(signal=9, at=NOW)]),
    stop_requested_at=st.sampled_from([0.0, NOW]),
    kill_at=st.sampled_from([NOW, NOW + 10]),
    unhealthy=st.booleans(),
    restart_requested=st.booleans(),
    given_up=st.booleans(),
)


@given(run=st.none() | RUNS, restart=st.sampled_from(["always", "on-failure", "never"]), members=st.booleans())
def test_there_is_one_step_for_a_leaf_and_nothing_begins_where_anybody_lives(
    run: Run | None, restart: str, members: bool
) -> None:
    kept = program(restart=restart)
    members = members or bool(run and run.alive)
    found = of(kept, run, members=members)
    assert len(found) <= 1
    if members:
        assert not any(isinstance(step, Start) for step in found)
    if (
        run
        and run.given_up
        and not run.alive
        and not run.clean_restart
        and run.digest == kept[WEB].launch.digest
        and run.starts
    ):
        assert not any(isinstance(step, Start) for step in found)
