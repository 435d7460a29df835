"""Facts in, sentences out: one test for each kind of incident, and for what is not known."""

import pytest

from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.clock import Clock
from paas_isolate.metering.culprits import command_of
from paas_isolate.metering.evidence import Case, Neighbour
from paas_isolate.metering.explanation import Explanation, Facts, Wait, explain
from paas_isolate.metering.faults import Incident, Kind, Level, Picture, Process
from paas_isolate.metering.past import Change, Row

NOON = 1_790_078_400_000  # 2026-09-22T12:00:00Z
MINUTE = 60_000
MB = 1 << 20
BEGIN, END = NOON - 118 * MINUTE, NOON - 111 * MINUTE  # 10:02 and 10:09
CLOCK = Clock(Calendar("UTC"), NOON)


def incident(kind: Kind, level: Level = Level.ACCOUNT, limit: str = "", **other: object) -> Incident:
    leaf = "web" if level is Level.LEAF else ""
    made = Incident(1, kind, level, "alice", "alice", leaf, "small", BEGIN, END, 3, None, limit)
    return made._replace(**other)  # type: ignore[arg-type]


def told(*cases: Case, **other: object) -> Explanation:
    facts = Facts("alice", NOON - 24 * 60 * MINUTE, NOON, 24 * 60 * MINUTE, cases)
    return explain(facts._replace(**other), CLOCK)  # type: ignore[arg-type]


def sentences(case: Case) -> tuple[str, ...]:
    (finding,) = told(case).findings
    return finding.sentences


def minutes(percent: int, waited: int = 0, memory: int = 0, number: int = 8) -> list[Row]:
    """Minutes in which so much CPU time was used, and so much was waited for."""
    first = BEGIN // MINUTE
    return [
        Row((first + n) * MINUTE, MINUTE, percent * 600_000, 0, waited * 600_000, memory=memory) for n in range(number)
    ]


def picture(*processes: Process, minute: int = 0, before: tuple[Process, ...] = ()) -> Picture:
    return Picture(BEGIN + minute * MINUTE, processes, before)


def php(pid: int = 7, cpu: float = 1.0, memory: int = 100 * MB, state: str = "running") -> Process:
    return Process(pid, "/usr/sbin/php-fpm: pool www", "alice", "web", "alice", memory, cpu, state, 60.0)


def bash(pid: int = 9) -> Process:
    return Process(pid, "-bash", "alice", "login", "alice", MB, 0.1, "sleeping", 600.0)


def test_cpu_by_the_limit_of_the_account() -> None:
    pictures = [picture(php(cpu=10), bash()), picture(php(cpu=300), bash(), minute=6)]
    case = Case(incident(Kind.THROTTLED, limit="100000 100000"), minutes(100, 80), pictures, machine=0.02)
    found = told(case)
    assert found.summary == "Slow between 10:02 and 10:09: it used all of its 100 % CPU; php-fpm took most of it."
    assert found.findings[0].sentences == (
        found.summary,
        "The limit is that of the whole account (cpu.max).",
        "Its processes at 10:02: php-fpm 290.0 s of CPU time.",
        "The machine itself was not short of CPU time: some of its programs waited for 2% of the time.",
        "Enough would have been 180 % CPU (what it used, and the time for which it had to wait, by minute).",
    )


def test_cpu_of_many_minutes_has_a_95th_percentile() -> None:
    rows = [*minutes(100, number=38), *minutes(100, 80, number=2)]
    case = Case(incident(Kind.THROTTLED, Level.LEAF, "100000 100000"), rows)
    assert told(case).summary == "Slow between 10:02 and 10:09 in web: web used all of its 100 % CPU."
    assert sentences(case)[1] == "The limit is that of the service web (cpu.max)."
    assert sentences(case)[-1].startswith("Enough would have been 100 % CPU in 95 of 100 minutes, and 180 % in all of")


def test_cpu_of_all_customers_names_the_neighbours() -> None:
    neighbours = (Neighbour("bob", 390.0), Neighbour("carol", 12.3))
    throttled = incident(Kind.THROTTLED, Level.ALL, "400000 100000", directory="", account="")
    case = Case(throttled, minutes(100), machine=0.5, neighbours=neighbours)
    assert sentences(case) == (
        "Slow between 10:02 and 10:09: all customers together used all of their 400 % CPU.",
        "The limit is that of all customers together: `ceiling` in config.yaml (cpu.max).",
        "Which processes did it is not known: there is no picture of that time.",
        "The machine itself was short of CPU time: some of its programs waited for 50% of the time.",
        "Of the other accounts these used most of it: bob 390 % CPU, carol 12 % CPU.",
    )


def test_memory_that_was_killed() -> None:
    killed = php(memory=505 * MB, state="killed")
    case = Case(
        incident(Kind.KILLED, Level.LEAF, str(512 * MB), begin=END, number=1),
        minutes(1, memory=511 * MB),
        [picture(php(8, memory=MB), bash(), minute=7, before=(killed,))],
    )
    assert sentences(case) == (
        "1 process was killed at 10:09 in web: web needed more memory than its 512M; php-fpm was killed.",
        "The limit is that of the service web (memory.max).",
        "Killed: php-fpm (pid 7, 505M).",
        "Its processes at 10:09: php-fpm 1M.",
        "Whether the machine itself was short of memory is not known.",
        "Enough would have been more than 512M; how much is not known, for what was refused is not counted. "
        "It held 511M at most in a sample.",
    )


def test_memory_of_the_machine_itself() -> None:
    case = Case(incident(Kind.KILLED, Level.MACHINE), machine=0.4, neighbours=(Neighbour("bob", 3.0 * 1024 * MB),))
    assert told(case).summary == (
        "3 processes were killed between 10:02 and 10:09: the machine itself had no memory left."
    )
    assert sentences(case)[1] == "No limit of ours did it."
    assert sentences(case)[-1] == "Of the other accounts these used most of it: bob 3G."


def test_memory_that_was_slowed() -> None:
    case = Case(incident(Kind.SLOWED, limit=str(400 * MB)), pictures=[picture(php())])
    assert told(case).summary == (
        "Slow between 10:02 and 10:09: it held more memory than its 400M, from where on the kernel slows it down; "
        "php-fpm held most of it."
    )


def test_processes_that_were_refused() -> None:
    case = Case(incident(Kind.REFUSED, limit="3", number=120), pictures=[picture(php(7), php(8), bash())])
    assert sentences(case)[0] == (
        "New processes were refused between 10:02 and 10:09 (120 times): it had all of its 3 processes and threads; "
        "2 of them were php-fpm."
    )
    assert "Enough would have been more than 3 processes and threads" in sentences(case)[-1]


def test_the_disk() -> None:
    limit = "252:0 rbps=1048576 wbps=max riops=max wiops=max"
    rows = [Row(BEGIN, MINUTE, read=60 * MB)]
    assert sentences(Case(incident(Kind.WAITED, limit=limit), rows))[0] == (
        "Slow between 10:02 and 10:09: it used all of its disk limit (rbps 1048576)."
    )
    assert sentences(Case(incident(Kind.WAITED), rows, machine=0.3))[0] == (
        "Slow between 10:02 and 10:09: it waited for the disk."
    )
    assert sentences(Case(incident(Kind.WAITED), rows))[-1] == (
        "It read and wrote 1M/s at most, over a minute; more was held back."
    )


def test_the_quota() -> None:
    case = Case(incident(Kind.DISK, limit=str(10 * MB), amount=10 * MB))
    assert told(case).summary == "The disk was full between 10:02 and 10:09: it has 10M of 10M."


def change(kind: str, was: str | None, value: str | None, minutes_before: int = 4, leaf: str = "") -> Change:
    return Change(BEGIN - minutes_before * MINUTE, "alice", leaf, kind, was, value, f"set {kind}")


def test_what_was_changed_before() -> None:
    changes = [
        *(change("Start", None, None, 60 - number, "web") for number in range(5)),
        change("cpu.max", "200000 100000", "100000 100000"),
    ]
    found = sentences(Case(incident(Kind.THROTTLED, limit="100000 100000"), changes=changes))
    assert "This limit was lowered at 09:58: it was 200 % CPU before." in found
    assert found[-2:] == ("Changed at 09:58: set cpu.max.", "1 earlier changes are not told here.")
    raised = [change("cpu.max", "50000 100000", "100000 100000")]
    assert not any(
        "lowered" in sentence
        for changes in (raised, [change("cpu.max", "max 100000", "50000 100000", leaf="web")])
        for sentence in sentences(Case(incident(Kind.THROTTLED), changes=changes))
    )


def test_another_day_is_named() -> None:
    yesterday = incident(Kind.THROTTLED, begin=BEGIN - 86_400_000, end=END - 86_400_000)
    assert told(Case(yesterday)).summary.startswith("Slow between 2026-09-21 10:02 and 10:09: ")


def test_nothing_was_found() -> None:
    found = told()
    assert found.summary == (
        "Nothing was found: no limit was hit, and alice did not have to wait, between 2026-09-21 12:00 and 12:00 today."
    )
    assert found.findings == ()
    assert found.notes == ()


def test_nothing_was_found_but_something_was_changed() -> None:
    assert told(changes=(change("pids.max", "9", "8"),)).notes == ("Changed at 09:58: set pids.max.",)


@pytest.mark.parametrize("begin", [NOON - 30 * MINUTE])
def test_that_time_was_not_measured(begin: int) -> None:
    found = told(begin=begin, measured=0)
    assert found.summary == "Nothing is known: alice was not measured between 11:30 and 12:00."
    partly = told(begin=begin, measured=15 * MINUTE)
    assert partly.notes == ("Only 50% of the time was measured; of the rest nothing is known.",)


def test_who_waits_without_a_limit_waits_for_the_machine() -> None:
    wait = Wait("cpu", NOON - 60 * MINUTE, NOON, 0.34, 0.8, (Neighbour("bob", 190.0),))
    found = told(waits=(wait,))
    assert found.summary == (
        "It waited for a CPU for 34% of the time between 11:00 and 12:00, and no limit of its own held it."
    )
    assert found.findings[0].sentences[1:] == (
        "The machine itself was short of CPU time: some of its programs waited for 80% of the time.",
        "Of the other accounts these used most of it: bob 190 % CPU.",
    )


def test_of_many_incidents_the_gravest_are_told_in_the_order_of_time() -> None:
    cases = [
        *(Case(incident(Kind.THROTTLED, begin=BEGIN - n * MINUTE, end=BEGIN - n * MINUTE, id=n)) for n in range(12)),
        Case(incident(Kind.KILLED, limit=str(MB))),
    ]
    found = told(*cases)
    assert found.summary.startswith("3 processes were killed")
    assert [each.kind for each in found.findings] == ["throttled"] * 8 + ["killed", "throttled"]
    assert found.notes == ("3 more incidents are not told here: `paas-isolate faults` lists them.",)


def test_of_a_moment_the_nearest_incident_is_the_summary() -> None:
    cases = Case(incident(Kind.KILLED)), Case(incident(Kind.THROTTLED, begin=NOON - 2 * MINUTE, end=NOON - MINUTE))
    assert told(*cases, at=NOON).summary.startswith("Slow between 11:58 and 11:59")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/sbin/php-fpm: pool www", "php-fpm"),
        ("/usr/bin/python3.11 /home/alice/hog.py --secret", "python3.11 hog.py"),
        ("python3 -c 'while True: pass'", "python3"),
        ("nginx: worker process", "nginx"),
        ("x" * 100, "x" * 60 + "…"),
        ("", "?"),
    ],
)
def test_a_program_is_named_without_its_arguments(command: str, name: str) -> None:
    assert command_of(php()._replace(command=command)) == name
