"""Records of runs: any text in the directory is read as a run or as none."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas_isolate.linux.process import procfs
from paas_isolate.linux.services.records import ENDING, RunRecords, name_of, path_of
from paas_isolate.linux.services.results import JobResults
from paas_isolate.model import tree
from paas_isolate.model.run import MANY, ProgramExit, Run

WEB = "users/alice/web"
DIGEST = "0123456789abcdef01234567"
HEAD = json.dumps({"digest": DIGEST, "begun": [1700000000.5], "starved": 2})


class RecordsOnDisk(RunRecords):
    def __init__(self, place: Path) -> None:
        super().__init__(str(place / "services"), "", JobResults(str(place / "results")))
        self.place = place / "services"
        self.place.mkdir(exist_ok=True)

    def write(self, text: str | bytes, name: str = "alice.web") -> None:
        data = text if isinstance(text, bytes) else text.encode()
        (self.place / name).write_bytes(data)

    def seen(self, *members: int, starved: int = 2) -> Run | None:
        return self.observe({WEB: members}, lambda _: starved).get(WEB)

    def text(self) -> list[str]:
        return [line for line in (self.place / "alice.web").read_text().splitlines() if line]


@pytest.fixture
def records(tmp_path: Path) -> RecordsOnDisk:
    return RecordsOnDisk(tmp_path)


@pytest.fixture
def program() -> Iterator[tuple[int, int]]:
    """A process that lives, and when it started."""
    process = subprocess.Popen(["sleep", "1000"])
    found = procfs.identity(process.pid)
    assert found
    yield process.pid, found.start
    process.kill()
    process.wait()


def test_a_program_that_lives_in_its_leaf_runs(records: RecordsOnDisk, program: tuple[int, int]) -> None:
    pid, start = program
    records.write(f"{HEAD}\nmain {pid} {start} 6 1700000000.600\n")
    assert records.seen(pid) == Run(DIGEST, starts=(1700000000.5,), pid=pid, start=start, keeper=6, alive=True)


def test_a_program_elsewhere_or_another_with_its_pid_is_dead(records: RecordsOnDisk, program: tuple[int, int]) -> None:
    pid, start = program
    records.write(f"{HEAD}\nmain {pid} {start} 6 1700000000.600\n")
    for run in (records.seen(), records.seen(1)):
        assert run
        assert (run.alive, run.end) == (False, ProgramExit(at=1700000000.5)), "killed with its keeper: nobody saw how"
    records.write(f"{HEAD}\nmain {pid} {start + 1} 6 1700000000.600\n")
    assert (run := records.seen(pid)) is not None
    assert not run.alive


@pytest.mark.parametrize(
    ("line", "starved", "end"),
    [
        ("exit 0 1700000009.250", 2, ProgramExit(status=0, at=1700000009.25)),
        ("exit 137 1700000009.250", 3, ProgramExit(status=137, at=1700000009.25)),
        ("signal 15 1700000009.250", 3, ProgramExit(signal=15, at=1700000009.25)),
        ("signal 9 1700000009.250", 2, ProgramExit(signal=9, at=1700000009.25)),
        ("signal 9 1700000009.250", 3, ProgramExit(signal=9, at=1700000009.25, oom_killed=True)),
    ],
)
def test_an_end_is_read_as_the_shim_recorded_it(
    records: RecordsOnDisk, line: str, starved: int, end: ProgramExit
) -> None:
    records.write(f"{HEAD}\nmain 7 70 6 1700000000.600\n{line}\n")
    run = records.seen(starved=starved)
    assert run is not None
    assert (run.end, run.alive) == (end, False)


def test_an_oom_kill_together_with_the_shim_is_recognised(records: RecordsOnDisk) -> None:
    records.write(f"{HEAD}\nmain 7 70 6 1700000000.600\n")
    run = records.seen(starved=3)
    assert run is not None
    assert str(run.end) == "killed: out of memory"


def test_lines_are_taken_one_after_the_other(records: RecordsOnDisk) -> None:
    lines = (
        "main 7 70 6 1.0\nunhealthy 2.5\nasked 3.000 13.000 its health checks fail\nagain\ngiven-up\nsignal 15 4.0\n"
    )
    records.write(f"{HEAD}\n{lines}")
    assert records.seen() == Run(
        DIGEST,
        starts=(1700000000.5,),
        pid=7,
        start=70,
        keeper=6,
        end=ProgramExit(signal=15, at=4.0),
        stop_requested_at=3.0,
        kill_at=13.0,
        why="its health checks fail",
        unhealthy=True,
        restart_requested=True,
        given_up=True,
    )


ODD_LINES = [
    "",
    " ",
    "main",
    "main 7 70",
    "main x y 6 1.0",
    "main 7 70 6 1.0 more",
    "main 99999999999999999999 -1 6 1.0",
    "exit",
    "exit 1",
    "exit one 1.0",
    "exit 1 nan",
    "exit 1 inf",
    "exit 1 -5",
    "exit 1 1e300",
    f"exit {'9' * 5000} 1.0",
    "signal 9 never",
    "asked 1.0",
    "asked 1.0 nan because",
    "asked inf inf",
    "unhealthy",
    "AGAIN",
    "again and again",
    "given-up 1.0",
    "what is this",
    "\x00\x1b[31m\u2028exit 0 1.0",
]


@pytest.mark.parametrize("line", ODD_LINES, ids=range(len(ODD_LINES)))
def test_odd_lines_are_passed_over(records: RecordsOnDisk, line: str) -> None:
    records.write(f"{HEAD}\n{line}\nexit 3 1700000001.0\n")
    run = records.seen()
    assert run is not None
    assert run._replace(pid=0, start=0, keeper=0) == Run(
        DIGEST, starts=(1700000000.5,), end=ProgramExit(status=3, at=1700000001.0)
    ), "and what follows is read"
    records.order(WEB, alive=False)
    assert (run := records.seen()) is not None
    assert run.restart_requested


@pytest.mark.parametrize("size", range(0, 90, 3))
def test_a_record_that_is_cut_is_none_or_as_far_as_it_goes(records: RecordsOnDisk, size: int) -> None:
    records.write(f"{HEAD}\nmain 7 70 6 1700000000.600\n"[:size])
    run = records.seen()
    assert (run is not None) == (size >= len(HEAD))
    records.order(WEB, alive=False)
    assert (run := records.seen()) is not None
    assert run.restart_requested


def test_a_kill_is_noted_in_the_place_of_the_last_one(records: RecordsOnDisk) -> None:
    records.write(f"{HEAD}\nmain 7 70 6 1.0\nasked 1.000 2.000 stopped by hand")  # cut, where /run was full
    begin = time.time()
    for times in (1, 2, 3):
        records.note_kill(WEB)
        records.add(WEB, "again") if times == 1 else None
        run = records.seen()
        assert run is not None
        assert (run.kills, run.kill_at, run.why, run.restart_requested) == (times, 2.0, "stopped by hand", True)
        assert begin - 0.001 <= run.killed <= run.kill_due - 2 ** (times - 1) + 0.001
    assert len(records.text()) == 5
    records.forget(WEB)
    records.note_kill(WEB)
    assert records.seen() is None


@pytest.mark.parametrize("times", ["0", "-5", "9" * 400])
def test_whatever_is_told_of_kills_the_next_is_within_a_minute(records: RecordsOnDisk, times: str) -> None:
    records.write(f"{HEAD}\nasked 1.000 2.000 why\nkilled 99999999999 {times}\n")
    run = records.seen()
    assert run is not None
    assert run.kill_due <= time.time() + 60


ODD_HEADS = [
    "[]",
    "1",
    "null",
    '"text"',
    "{",
    "[" * 30_000,
    '{"begun": 5}',
    '{"begun": [null]}',
    '{"begun": ["x"]}',
    '{"begun": [NaN]}',
    '{"begun": [Infinity]}',
    '{"begun": [-1]}',
    '{"begun": [[1]]}',
    '{"begun": {"a": 1}}',
    '{"since": "soon"}',
    '{"since": 1e308}',
    '{"starved": "many"}',
    '{"starved": Infinity}',
    '{"starved": null}',
]


@pytest.mark.parametrize("head", ODD_HEADS, ids=range(len(ODD_HEADS)))
def test_a_head_that_is_not_ours_is_no_record(records: RecordsOnDisk, head: str) -> None:
    records.write(f"{head}\nmain 7 70 6 1.0\n")
    assert records.seen() is None
    with records.begin(WEB, DIGEST, 0):
        pass
    assert records.seen() is not None, "a new one takes its place"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=300) | st.text(max_size=100).map(lambda text: f"{HEAD}\n{text}\n".encode()))
def test_whatever_stands_there_is_a_run_or_none(records: RecordsOnDisk, text: bytes) -> None:
    records.write(text)
    run = records.seen(1)
    assert run is None or (0 <= run.kill_at < 1e12 and 0 <= run.ready_at < 1e12)


NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)


@given(directory=NAMES, leaf=NAMES, number=st.none() | st.integers(2, 100))
def test_a_name_leads_to_its_leaf_and_back(directory: str, leaf: str, number: int | None) -> None:
    path = tree.leaf(directory, leaf if number is None else f"{leaf}.{number}")
    assert path_of(name_of(path)) == path
    assert "/" not in name_of(path)
    assert name_of(path)[0] != "."


def test_different_leaves_have_different_names() -> None:
    leaves = [tree.leaf(*names) for names in (("a", "b"), ("a-b", "c"), ("a", "b-c"), ("a", "b.2"), ("b", "2"))]
    assert len({*map(name_of, leaves)}) == len(leaves)


def test_a_start_is_counted_as_long_as_it_is_the_same(records: RecordsOnDisk) -> None:
    for times in range(1, MANY + 3):
        with records.begin(WEB, DIGEST, 0) as (record, begun):
            os.write(record, b"exit 1 1.0\n")
        assert len(begun) == min(times, MANY)
        assert begun == sorted(begun)
        assert abs(begun[-1] - time.time()) < 60
    with records.begin(WEB, "another", 0) as (_, begun):
        assert len(begun) == 1


def test_a_start_that_was_ordered_begins_the_count_anew(records: RecordsOnDisk) -> None:
    for line in ("again\n", "asked 5.0 15.0 stopped by hand\n"):
        for _ in range(3):
            with records.begin(WEB, DIGEST, 0) as (_, begun):
                pass
        assert len(begun) == 3
        with (records.place / "alice.web").open("a") as record:
            record.write(line)
        with records.begin(WEB, DIGEST, 0) as (_, begun):
            assert len(begun) == 1
        records.forget(WEB)
    for _ in range(2):
        with records.begin(WEB, DIGEST, 0) as (record, begun):
            os.write(record, b"unhealthy 4.0\nasked 5.0 15.0 its health checks fail\n")
    assert len(begun) == 2, "but not one after health checks that failed"


def test_a_new_run_is_a_new_file_into_which_an_old_keeper_does_not_write(records: RecordsOnDisk) -> None:
    with records.begin(WEB, DIGEST, 1) as (record, _):
        old = os.dup(record)
    with records.begin(WEB, DIGEST, 4):
        os.write(old, b"exit 9 1.0\n")
    os.close(old)
    head, *lines = records.text()
    assert json.loads(head)["starved"] == 4
    assert lines == []
    assert os.listdir(records.place) == ["alice.web"]
    assert (records.place / "alice.web").stat().st_mode & 0o777 == 0o600


def test_what_is_added_stands_behind_what_the_keeper_wrote(records: RecordsOnDisk) -> None:
    with records.begin(WEB, DIGEST, 0) as (record, _):
        os.write(record, b"main 7 70 6 1.0\n")
        records.add(WEB, "asked", "2.0", "12.0", "a new start was ordered")
        os.write(record, b"signal 15 3.0\n")
    assert records.text()[1:] == ["main 7 70 6 1.0", "asked 2.0 12.0 a new start was ordered", "signal 15 3.0"]
    records.forget(WEB)
    records.add(WEB, "again")
    records.forget(WEB)
    assert records.seen() is None


def test_who_runs_is_not_ordered_to_start_but_to_start_anew(records: RecordsOnDisk, program: tuple[int, int]) -> None:
    pid, start = program
    records.write(f"{HEAD}\nmain {pid} {start} 6 1.0\n")
    records.order(WEB, alive=False)
    assert (run := records.seen(pid)) is not None
    assert not run.restart_requested
    records.order(WEB, alive=True)
    assert (run := records.seen(pid)) is not None
    assert run.restart_requested
    assert run.alive


def test_an_order_is_kept_where_nothing_has_run_yet(records: RecordsOnDisk) -> None:
    records.order(WEB, alive=False)
    run = records.seen()
    assert run is not None
    assert (run.restart_requested, run.starts, run.digest) == (True, (), "")


def test_links_and_what_is_no_file_are_no_records(records: RecordsOnDisk, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(f"{HEAD}\n")
    (records.place / "alice.web").symlink_to(tmp_path / "elsewhere")
    (records.place / "alice.directory").mkdir()
    assert records.observe({}, lambda _: 0) == {}


def test_a_directory_that_is_not_there_has_no_records_and_is_made(tmp_path: Path) -> None:
    records = RunRecords(str(tmp_path / "run/services"), "", JobResults(str(tmp_path / "results")))
    assert records.observe({}, lambda _: 0) == {}
    assert not records.ending
    records.wait(WEB, DIGEST)
    assert [*records.observe({}, lambda _: 0)] == [WEB]
    assert (tmp_path / "run/services").stat().st_mode & 0o777 == 0o700
    records.end()
    assert records.ending
    assert [*records.observe({}, lambda _: 0)] == [WEB]
    assert (tmp_path / "run/services" / ENDING).exists()
