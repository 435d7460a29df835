"""Saved results of jobs: any text in the directory is read as a result or as none."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas_isolate.linux.services.records import RunRecords
from paas_isolate.linux.services.results import JobResults, result_from
from paas_isolate.model.run import ProgramExit, Result

JOB, NAME, DIGEST = "users/alice/nightly", "alice.nightly", "0123456789abcdef01234567"
ILL = Result(1700000000.5, ProgramExit(status=4, at=1700000009.25), succeeded=1600000000.0)
RESULTS = [
    ILL,
    Result(1700000000.5, ProgramExit(status=0, at=1700000009.25), succeeded=1700000009.25),
    Result(1700000000.5, ProgramExit(signal=9, at=1700000009.25, oom_killed=True)),
    Result(1700000000.5, ProgramExit(at=1700000000.5)),
]


@pytest.fixture
def results(tmp_path: Path) -> JobResults:
    return JobResults(str(tmp_path / "state/results"))


@pytest.fixture
def records(tmp_path: Path, results: JobResults) -> RunRecords:
    return RunRecords(str(tmp_path / "services"), "", results)


def last(records: RunRecords) -> Result | None:
    return records.observe({}, lambda _: 0)[JOB].result


@pytest.mark.parametrize("result", RESULTS)
def test_what_was_written_is_read(results: JobResults, result: Result) -> None:
    assert (results.read(NAME), results.names()) == (None, [])
    results.write(NAME, ILL)
    results.write(NAME, result)
    assert (results.read(NAME), results.names()) == (result, [NAME])
    path = Path(results.directory, NAME)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    results.forget(NAME)
    results.forget(NAME)
    assert (results.read(NAME), results.names()) == (None, [])


def test_a_write_that_broke_off_is_no_result_and_holds_no_other_up(results: JobResults) -> None:
    results.write(NAME, ILL)
    Path(results.directory, f".{NAME}").write_text("{")
    assert (results.read(NAME), results.names()) == (ILL, [NAME])
    results.write(NAME, RESULTS[1])
    assert results.read(NAME) == RESULTS[1]


PLAIN = ILL.plain()
ODD: list[object] = [
    None, 1, "text", [], {}, [[1]], {**PLAIN, "begun": "x"}, {**PLAIN, "begun": float("nan")},
    {**PLAIN, "ended": float("inf")}, {**PLAIN, "succeeded": -1}, {**PLAIN, "status": "four"}, {**PLAIN, "signal": {}},
    {**PLAIN, "status": float("inf")}, {**PLAIN, "ended": None}, {**PLAIN, "begun": 1e300},
]  # fmt: skip


@pytest.mark.parametrize("plain", ODD, ids=range(len(ODD)))
def test_odd_results_are_none_and_stop_nothing(results: JobResults, records: RunRecords, plain: object) -> None:
    results.write(NAME, ILL)
    Path(results.directory, NAME).write_text(json.dumps(plain))
    assert results.read(NAME) is None
    records.wait(JOB, DIGEST)
    head = json.loads(Path(records.directory, NAME).read_text())
    Path(records.directory, NAME).write_text(json.dumps({**head, "last": plain}) + "\nmain 7 70 6 1.0\n")
    run = records.observe({}, lambda _: 0)[JOB]
    assert (run.pid, run.last) == (7, None), "the run itself is known all the same"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=300) | st.just(b"[" * 30_000))
def test_whatever_stands_there_is_a_result_or_none(results: JobResults, text: bytes) -> None:
    results.write(NAME, ILL)
    Path(results.directory, NAME).write_bytes(text)
    results.read(NAME)


@pytest.mark.parametrize("size", range(0, 130, 7))
def test_a_file_that_is_cut_is_none(results: JobResults, size: int) -> None:
    results.write(NAME, ILL)
    path = Path(results.directory, NAME)
    path.write_bytes(path.read_bytes()[:size])
    assert results.read(NAME) is None


def test_links_and_what_is_no_file_are_no_results(results: JobResults, tmp_path: Path) -> None:
    results.write(NAME, ILL)
    os.rename(f"{results.directory}/{NAME}", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", f"{results.directory}/{NAME}")
    os.mkdir(f"{results.directory}/alice.other")
    assert results.read(NAME) is None
    assert results.read("alice.other") is None


def test_a_result_passes_from_record_to_record_and_through_a_boot(results: JobResults, records: RunRecords) -> None:
    records.wait(JOB, DIGEST)
    assert last(records) is None
    with records.begin(JOB, DIGEST, 0) as (record, (begun,)):
        os.write(record, b"main 7 70 6 1.0\nexit 0 1700000009.250\n")
    run = records.observe({}, lambda _: 0)[JOB]
    assert run.is_news
    assert run.result is not None
    records.remember(JOB, run.result)
    well = Result(begun, run.end, succeeded=run.end.at)
    assert not records.observe({}, lambda _: 0)[JOB].is_news
    assert (last(records), results.read(NAME)) == (well, well)

    Path(records.directory, NAME).unlink()  # a boot
    records.wait(JOB, DIGEST)
    run = records.observe({}, lambda _: 0)[JOB]
    assert (run.starts, run.result, run.is_news) == ((), well, False)

    with records.begin(JOB, DIGEST, 0) as (record, starts):
        assert last(records) == Result(starts[-1], ProgramExit(at=starts[-1]), well.succeeded), "nobody saw how"
        os.write(record, b"signal 9 1700000019.000\n")
    assert last(records) == Result(starts[-1], ProgramExit(signal=9, at=1700000019.0), well.succeeded)
    records.forget(JOB)
    assert results.names() == []


def test_after_a_boot_with_a_clock_a_little_behind_it_does_not_run_twice(
    results: JobResults, records: RunRecords
) -> None:
    ahead = time.time() + 50
    results.write(NAME, ILL._replace(started=ahead))
    records.wait(JOB, DIGEST)
    assert json.loads(Path(records.directory, NAME).read_text())["since"] == ahead
    results.write(NAME, ILL._replace(started=ahead + 365 * 86_400))
    records.wait(JOB, DIGEST)
    assert json.loads(Path(records.directory, NAME).read_text())["since"] < ahead, "but not in a year either"


def test_what_another_version_wrote_has_what_is_known_of_it() -> None:
    assert result_from({**PLAIN, "more": [1]}) == ILL
