"""Which service programs should run, given their last runs, their specification and the administrator's orders."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.changes.service_steps import service_steps
from paas_isolate.changes.supervision import managed_services, scaled
from paas_isolate.linux.network.sockets import not_listening
from paas_isolate.model.run import FOREVER, MANY, ProgramExit, Run
from paas_isolate.model.service_program import Failure, Health, Log, ServiceProgram
from paas_isolate.model.steps.service import Kill, ScheduleJob
from paas_isolate.model.world import ObservedWorld
from tests.support.supervised import ILL, NOW, THREE, TWO, WEB, WELL, keep, program, ran, sell, wished

NIGHTLY = {"schedule": "0 4 * * *"}


def test_what_never_ran_is_to_run() -> None:
    kept = program()
    assert wished(kept, {}).run == {WEB: kept[WEB].launch}


def test_what_runs_stays_wanted() -> None:
    kept = program()
    found = wished(kept, {WEB: ran(kept, alive=True)})
    assert found.run == {WEB: kept[WEB].launch}
    assert found.due == FOREVER
    assert found.patience == {WEB: 10_000}


@pytest.mark.parametrize(
    ("restart", "end", "again"),
    [
        ("always", WELL, True),
        ("always", ILL, True),
        ("on-failure", WELL, False),
        ("on-failure", ILL, True),
        ("on-failure", ProgramExit(signal=9, at=NOW), True),
        ("on-failure", ProgramExit(at=NOW), True),
        ("never", WELL, False),
        ("never", ILL, False),
        ("never", ProgramExit(signal=15, at=NOW), False),
    ],
)
def test_restart_says_whether_an_end_is_the_end(restart: str, end: ProgramExit, again: bool) -> None:
    kept = program(restart=restart)
    runs = {WEB: ran(kept, end=end)}
    assert (WEB in wished(kept, runs, now=NOW + 60).run) is again
    assert wished(kept, runs).due == (NOW + 1 if again else FOREVER)


@pytest.mark.parametrize(("starts", "delay"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_each_start_waits_longer_than_the_one_before(starts: int, delay: float) -> None:
    kept = program()
    runs = {WEB: ran(kept, starts=starts, end=ILL)}
    early = wished(kept, runs, now=NOW + delay - 0.1)
    assert early.run == {}
    assert early.due == NOW + delay
    assert wished(kept, runs, now=NOW + delay).run == {WEB: kept[WEB].launch}


def test_who_ran_for_long_waits_a_second_again() -> None:
    kept = program()
    end = ProgramExit(status=1, at=NOW + 1000)
    runs = {WEB: ran(kept, starts=MANY, apart=1000, end=end)}
    assert wished(kept, runs, now=NOW + 1000).due == NOW + 1001


def test_a_crash_loop_is_given_up_once() -> None:
    kept = program()
    run = ran(kept, starts=MANY, end=ILL)
    found = wished(kept, {WEB: run}, now=NOW + 1000)
    assert found.run == {}
    assert found.given_up == {WEB: "5 starts in 120 s, the last ended with exit status 1"}
    assert found.due == FOREVER
    told = wished(kept, {WEB: run._replace(given_up=True)}, now=NOW + 1000)
    assert (told.run, told.given_up) == ({}, {})


def test_who_ends_well_at_last_is_not_given_up() -> None:
    kept = program(restart="on-failure")
    assert wished(kept, {WEB: ran(kept, starts=MANY, end=WELL)}).given_up == {}


def test_a_crash_loop_that_still_runs_is_left_to_run() -> None:
    kept = program()
    found = wished(kept, {WEB: ran(kept, starts=MANY, alive=True)})
    assert found.run == {WEB: kept[WEB].launch}
    assert found.given_up == {}


@pytest.mark.parametrize("given_up", [False, True])
def test_what_was_given_up_is_tried_again_by_order_or_when_it_has_changed(given_up: bool) -> None:
    kept = program()
    run = ran(kept, starts=MANY, end=ILL, given_up=given_up)
    for other in (run._replace(restart_requested=True), run._replace(digest="another")):
        found = wished(kept, {WEB: other})
        assert found.run == {WEB: kept[WEB].launch}
        assert found.given_up == {}


def test_what_was_asked_to_end_starts_again_at_once() -> None:
    """A restart, a thawed account: no sign of trouble."""
    kept = program()
    run = ran(kept, starts=3, end=ProgramExit(signal=15, at=NOW), stop_requested_at=NOW - 1, kill_at=NOW + 9)
    assert wished(kept, {WEB: run}).run == {WEB: kept[WEB].launch}
    assert wished(kept, {WEB: run._replace(unhealthy=True)}).run == {}


def test_who_is_asked_to_end_is_looked_at_when_its_time_is_over() -> None:
    kept = program()
    assert wished(kept, {WEB: ran(kept, alive=True, stop_requested_at=NOW, kill_at=NOW + 10)}).due == NOW + 10


def test_stopped_by_hand_is_not_to_run_and_says_why() -> None:
    kept = keep(sell(ServiceProgram("serve")), stopped=["alice/web"])
    found = wished(kept, {WEB: ran(kept, alive=True)})
    assert (found.run, found.inactive) == ({}, {WEB: "stopped by hand"})
    assert found.given_up == {}


@pytest.mark.parametrize("held", ["alice", "alice/web"])
def test_what_is_frozen_is_left_as_it_is(held: str) -> None:
    kept = keep(sell(ServiceProgram("serve")), held=[held], stopped=["alice/web"])
    for run in (ran(kept, alive=True), ran(kept, end=ILL)):
        assert wished(kept, {WEB: run}, now=NOW + 99).run == {WEB: None}


def test_others_go_on_while_one_is_frozen() -> None:
    kept = keep(sell(ServiceProgram("serve")), held=["alice/other-one", "alicia"])
    assert wished(kept, {}).run == {WEB: kept[WEB].launch}


@pytest.mark.parametrize(("suspension", "run"), [("freeze", {WEB: None}), ("stop", {})])
def test_what_is_suspended_is_left_or_stopped_as_the_host_says(suspension: str, run: dict[str, None]) -> None:
    kept = keep(sell(ServiceProgram("serve"), suspended=True, suspension=suspension))
    found = wished(kept, {WEB: ran(kept, alive=True)})
    assert found.run == run
    assert found.inactive == {WEB: "the account is suspended"}


def test_a_job_waits_for_its_time_and_no_longer() -> None:
    kept = program(**NIGHTLY)
    run = Run("", since=NOW)
    early = wished(kept, {WEB: run})
    assert WEB not in early.run
    assert NOW < early.due <= NOW + 86400
    assert wished(kept, {WEB: run}, now=early.due).run == {WEB: kept[WEB].launch}
    assert early.jobs == {WEB}


def test_a_job_is_due_once() -> None:
    kept = program(**NIGHTLY)
    due = wished(kept, {WEB: Run("", since=NOW)}).due
    begun = Run(kept[WEB].launch.digest, starts=(due + 0.2,), end=ProgramExit(status=1, at=due + 5))
    after = wished(kept, {WEB: begun}, now=due + 30)
    assert WEB not in after.run
    assert after.due == pytest.approx(due + 86400, abs=3601)
    assert after.given_up == {}


def test_a_job_of_which_nothing_is_known_waits_for_its_next_time() -> None:
    """After a boot: what was missed meanwhile is not made up for."""
    kept = program(**NIGHTLY)
    steps = list(service_steps(wished(kept, {}), ObservedWorld(), NOW))
    assert steps == [ScheduleJob(WEB, kept[WEB].launch.digest)]


def test_a_job_that_runs_is_neither_begun_twice_nor_ended() -> None:
    kept = program(**NIGHTLY)
    run = ran(kept, alive=True)
    assert wished(kept, {WEB: run}, now=NOW + 200_000).run == {WEB: kept[WEB].launch}
    for other in (run._replace(digest="another"), run._replace(restart_requested=True)):
        assert wished(kept, {WEB: other}).run == {WEB: None}


def test_a_job_runs_at_once_when_it_is_ordered() -> None:
    kept = program(**NIGHTLY)
    assert wished(kept, {WEB: Run("", since=NOW, restart_requested=True)}).run == {WEB: kept[WEB].launch}


def test_a_job_that_fails_often_is_not_given_up() -> None:
    kept = program(schedule="* * * * *")
    found = wished(kept, {WEB: ran(kept, starts=MANY, apart=20, end=ILL)}, now=NOW + 60)
    assert found.run == {WEB: kept[WEB].launch}


def test_one_of_several_is_replaced_at_a_time_while_the_others_are_up() -> None:
    kept = program(replicas=3)
    old = {leaf: ran(kept, leaf, alive=True)._replace(digest="old") for leaf in (WEB, TWO, THREE)}
    first = wished(kept, old, up={WEB, TWO, THREE})
    assert first.run == {WEB: kept[WEB].launch, TWO: None, THREE: None}
    assert first.waiting == {TWO, THREE}
    assert first.due == NOW + 1, "looked at again soon: nobody tells when it listens"
    ended = old | {WEB: ran(kept, alive=False, stop_requested_at=NOW, end=ProgramExit(signal=15, at=NOW))}
    assert wished(kept, ended, up={TWO, THREE}).run == {WEB: kept[WEB].launch, TWO: None, THREE: None}
    begun = old | {WEB: ran(kept, alive=True)}
    assert wished(kept, begun, up={TWO, THREE}).run[TWO] is None, "the first does not do its work yet"
    second = wished(kept, begun, up={WEB, TWO, THREE})
    assert second.run == {WEB: kept[WEB].launch, TWO: kept[TWO].launch, THREE: None}


def test_one_that_is_asked_to_end_does_its_work_no_more() -> None:
    kept = program(replicas=2)
    runs = {
        WEB: ran(kept, alive=True, stop_requested_at=NOW, kill_at=NOW + 10)._replace(digest="old"),
        TWO: ran(kept, TWO, alive=True)._replace(digest="old"),
    }
    assert wished(kept, runs, up={WEB, TWO}).run[TWO] is None


def test_one_that_was_asked_to_end_is_not_forgotten_when_another_fails() -> None:
    """Whoever has no turn is not killed either, however long it takes to end."""
    kept = program(replicas=2)
    runs = {
        WEB: ran(kept, alive=True, stop_requested_at=NOW, kill_at=NOW + 10)._replace(digest="old"),
        TWO: ran(kept, TWO, end=ILL),
    }
    found = wished(kept, runs, now=NOW + 10, up={WEB})
    steps = service_steps(found, ObservedWorld(members={WEB: (7, 8)}, runs=runs), NOW + 10)
    assert Kill(WEB, "it was asked to end, and has not") in list(steps)


def test_what_does_not_die_is_killed_again_ever_more_seldom() -> None:
    kept = program()
    asked = ran(kept, alive=True, stop_requested_at=NOW - 20, kill_at=NOW - 10)
    killed = {times: {WEB: asked._replace(killed=NOW, kills=times)} for times in (1, 2, 3, 7, 999)}
    assert wished(kept, {WEB: asked}).due == NOW - 10
    assert [wished(kept, runs).due - NOW for runs in killed.values()] == [1, 2, 4, 60, 60]
    frozen = keep(sell(ServiceProgram("serve")), held=["alice"])
    assert wished(frozen, {WEB: asked}).due == FOREVER, "nothing is done to it"


def test_nobody_waits_for_one_that_was_given_up() -> None:
    """The new command is wrong: the others go on with the old one, and nobody looks every second."""
    kept = program(replicas=2)
    runs = {
        WEB: ran(kept, starts=MANY, end=ILL, given_up=True),
        TWO: ran(kept, TWO, alive=True)._replace(digest="old"),
    }
    found = wished(kept, runs, up={TWO})
    assert found.run == {TWO: None}
    assert (found.waiting, found.due) == (frozenset(), FOREVER)


def test_one_that_is_down_or_unwell_does_not_wait_for_the_others() -> None:
    kept = program(replicas=2)
    down = {WEB: ran(kept, end=ILL), TWO: ran(kept, TWO, alive=True, unhealthy=True)}
    found = wished(kept, down, now=NOW + 60)
    assert found.run == {WEB: kept[WEB].launch, TWO: kept[TWO].launch}
    assert found.waiting == frozenset()


@given(
    stale=st.lists(st.booleans(), min_size=2, max_size=6),
    up=st.lists(st.booleans(), min_size=6, max_size=6),
    asked=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_at_most_one_that_is_up_is_taken_away_at_once(stale: list[bool], up: list[bool], asked: list[bool]) -> None:
    kept = program(replicas=len(stale))
    leaves = list(kept)
    runs = {
        leaf: ran(kept, leaf, alive=True, stop_requested_at=NOW * ending)._replace(
            digest="old" if old else kept[leaf].launch.digest
        )
        for leaf, old, ending in zip(leaves, stale, asked, strict=False)
    }
    working = {leaf for leaf, listens in zip(leaves, up, strict=False) if listens}
    found = wished(kept, runs, up=working)
    away = [leaf for leaf in leaves if runs[leaf].stop_requested_at or (runs[leaf].digest == "old" and found.run[leaf])]
    ordered = [leaf for leaf in away if not runs[leaf].stop_requested_at]
    assert len(ordered) <= 1
    if ordered:
        assert away == ordered
        assert {*leaves} - {*ordered} <= working


def test_replicas_differ_by_number_port_and_log() -> None:
    kept = keep(sell(ServiceProgram("serve", replicas=2), listen=8100))
    first, second = kept[WEB].launch, kept[TWO].launch
    assert first._replace(number=2, log="/h/logs/web.2.log", environment=second.environment, port=8101) == second
    assert dict(first.environment) == {
        "ACCOUNT": "alice",
        "SERVICE": "web",
        "INDEX": "1",
        "PORT": "8100",
        "ADDRESS": "10.77.0.2",
        "ADDRESS6": "fd77::2",
    }
    assert dict(second.environment) | {"INDEX": "1", "PORT": "8100"} == dict(first.environment)
    assert (first.log, second.log) == ("/h/logs/web.log", "/h/logs/web.2.log")
    assert kept[WEB].siblings == kept[TWO].siblings == (WEB, TWO)


def test_a_service_says_what_it_is_begun_with() -> None:
    work = ServiceProgram(
        "serve",
        directory="~/app",
        environment={"QUEUE": "mail", "ACCOUNT": "mine"},
        environment_file="~/env",
        umask="027",
        rlimits={"nofile": 4096, "core": 0},
        no_new_privs=True,
        log=Log(1000, 0),
        health=Health("true"),
        on_failure=Failure("a@b"),
    )
    launch = keep(sell(work))[WEB].launch
    assert (launch.directory, launch.environment_file) == ("/h/app", "/h/env")
    assert [*launch.environment] == [
        ("ACCOUNT", "alice"),
        ("SERVICE", "web"),
        ("INDEX", "1"),
        ("ACCOUNT", "mine"),
        ("QUEUE", "mail"),
    ], "what its file says comes last, and wins"
    assert (launch.umask, launch.rlimits) == ("027", (("core", 0), ("nofile", 4096)))
    assert (launch.no_new_privs, launch.log_max, launch.log_keep) == (True, 1000, 0)
    assert (launch.health, launch.on_failure) == (Health("true"), Failure("a@b"))


@pytest.mark.parametrize(
    ("leaf", "account", "told"),
    [
        ({}, {}, {}),
        ({"memory.max": "max", "cpu.max": "max 100000"}, {}, {}),
        (
            {"memory.max": "1048576", "cpu.max": "50000 100000"},
            {"memory.max": "4194304"},
            {"MEMORY_MAX": "1048576", "CPU_MAX": "0.5"},
        ),
        (
            {"memory.max": "8388608"},
            {"memory.max": "4194304", "cpu.max": "200000 100000"},
            {"MEMORY_MAX": "4194304", "CPU_MAX": "2"},
        ),
    ],
)
def test_a_program_is_told_what_it_may_use(leaf: dict[str, str], account: dict[str, str], told: dict[str, str]) -> None:
    kept = keep(sell(ServiceProgram("serve")), {WEB: leaf, "users/alice": account})
    assert dict(kept[WEB].launch.info_env) == told


CHANGES: dict[str, object] = {
    "run": "serve --better",
    "directory": "/srv",
    "environment": {"A": "b"},
    "environment_file": "~/env",
    "umask": "077",
    "rlimits": {"nofile": 10},
    "no_new_privs": True,
    "health": Health("true"),
    "log": Log(1, 1),
    "on_failure": Failure("a"),
}
NO_CHANGES: dict[str, object] = {"restart": "never", "stop_timeout": 5, "schedule": "0 4 * * *", "replicas": 3}


def changed(work: ServiceProgram, key: str) -> ServiceProgram:
    return work._replace(**{key: (CHANGES | NO_CHANGES)[key]})  # type: ignore[arg-type]  # the tables say which


@pytest.mark.parametrize("key", ServiceProgram._fields)
def test_only_keys_of_the_start_restart_a_service(key: str) -> None:
    work = ServiceProgram("serve")
    before = keep(sell(work))[WEB].launch.digest
    after = keep(sell(changed(work, key)))[WEB].launch.digest
    assert (after != before) == (key in CHANGES)


def test_a_limit_that_changes_restarts_nothing() -> None:
    fleet = sell(ServiceProgram("serve"))
    before, after = (keep(fleet, {WEB: {"memory.max": text}})[WEB].launch for text in ("max", "1000000"))
    assert before.info_env != after.info_env
    assert before.digest == after.digest
    assert re.fullmatch("[0-9a-f]{24}", after.digest)


@pytest.mark.parametrize(
    ("fleet", "reason"),
    [
        (sell(ServiceProgram("serve"), home=""), "alice/web cannot run: its owner alice has no home"),
        (
            sell(ServiceProgram("serve"))._replace(
                accounts={"alice": sell(ServiceProgram("serve")).accounts["alice"]._replace(uids={"bob": 1002})}
            ),
            "alice/web cannot run: its owner alice is exempt",
        ),
    ],
)
def test_what_cannot_be_run_is_told(fleet: object, reason: str) -> None:
    kept, unmet = managed_services(fleet, {}, (), ())  # type: ignore[arg-type]  # a fleet, as above
    assert (kept, unmet) == ({}, {WEB: reason})


def test_what_has_no_command_is_none_of_ours() -> None:
    assert keep(sell(ServiceProgram(restart="always"))) == {}
    assert managed_services(sell(ServiceProgram()), {}, (), ()) == ({}, {})


def test_an_administrator_says_how_many_run() -> None:
    fleet = sell(ServiceProgram("serve", replicas=2))
    assert [*keep(scaled(fleet, {"alice/web": 3}))] == [WEB, TWO, THREE]
    assert [*keep(scaled(fleet, {"alice/web": 1}))] == [WEB]
    assert scaled(fleet, {"bob/web": 3, "alice/mail": 2}) == fleet
    assert scaled(fleet, {}) is fleet


def test_a_clock_that_has_stepped_back_lets_nobody_wait() -> None:
    year = 365 * 86_400.0
    kept = program()
    ended = ran(kept, end=ILL._replace(at=NOW + year))._replace(starts=(NOW + year - 1,)).by(NOW)
    assert wished(kept, {WEB: ended}).due <= NOW + 2
    asked = ran(kept, alive=True, stop_requested_at=NOW + year, kill_at=NOW + year + 10).by(NOW)
    assert asked.kill_at == NOW + 10
    job = program(schedule="*/5 * * * *")
    assert wished(job, {WEB: Run("", since=NOW + 1000).by(NOW)}).due <= NOW + 300


def test_what_the_environment_says_of_a_port_changes_nothing_of_where_it_listens() -> None:
    kept = keep(sell(ServiceProgram("serve", environment={"PORT": "unix", "ADDRESS": "localhost"}), listen=8100))
    launch = kept[WEB].launch
    assert (launch.port, launch.addresses) == (8100, ("10.77.0.2", "fd77::2"))
    assert "8100" in not_listening([launch])[launch]


def test_who_is_not_wanted_any_more_is_looked_at_when_it_is_to_be_killed() -> None:
    kept = program()
    asked = ran(kept, alive=True, stop_requested_at=NOW, kill_at=NOW + 10)
    found = wished({}, {WEB: asked})
    assert found.run == {}
    assert found.due_times == {WEB: NOW + 10}
    assert wished({}, {WEB: asked._replace(alive=False)}).due_times == {}


def test_whose_user_is_renamed_runs_on_and_begins_under_the_new_name() -> None:
    fleet = sell(ServiceProgram("serve"))
    before, now = keep(fleet)[WEB], keep(fleet._replace(renamed={"alice": "dave"}))[WEB]
    assert (now.launch.user, now.launch.called, now.digest) == ("alice", "dave", before.digest)
    assert now.launch.digest == before.digest
    assert (now.inactive_reason, now.untouched) == ("", False)


def test_as_whoever_may_be_another_person_nothing_begins_and_nothing_ends() -> None:
    kept = keep(sell(ServiceProgram("serve"))._replace(doubtful=frozenset({1001})))
    assert (kept[WEB].inactive_reason, kept[WEB].untouched) == ("its user may be another person now", True)
    for runs in ({}, {WEB: ran(kept, alive=True)}, {WEB: ran(kept, end=ILL)}):
        assert wished(kept, runs).run == {WEB: None}
