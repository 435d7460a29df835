"""The file of the ledger: nothing twice, nothing old lost, damage set aside."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.ledger import history
from paas_isolate.ledger.database import NAME, LedgerError, reading
from paas_isolate.ledger.writer import LedgerWriter, Outdated, Owner
from paas_isolate.metering.tally import Moment
from tests.support.ledger import HOUR, MB, WALL, Metered, web


@pytest.fixture
def metered(tmp_path: Path) -> Iterator[Metered]:
    opened = Metered(tmp_path)
    yield opened
    opened.writer.close()


def test_only_root_can_read_it(metered: Metered) -> None:
    metered.sampled(0, web(1))
    files = list(metered.place.iterdir())
    assert {file.name for file in files} == {NAME, f"{NAME}-wal", f"{NAME}-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(metered.place.stat().st_mode) == 0o700


def test_settings_that_keep_what_was_written(metered: Metered) -> None:
    assert metered.rows("PRAGMA journal_mode") == [("wal",)]
    assert metered.writer._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert metered.rows("PRAGMA auto_vacuum") == [(2,)]


def test_hours_and_days(metered: Metered) -> None:
    metered.sampled(0, web(100))
    metered.sampled(10, web(150))
    metered.sampled(20, web(170))
    metered.sampled(3600, web(300))
    assert metered.users("day") == [("2026-09-21", "web", 200)]
    assert {label: user for label, _, user in metered.users("hour")}.keys() == {HOUR, HOUR + 1}
    assert sum(int(str(user)) for *_, user in metered.users("hour")) == 200


def test_after_a_kill_nothing_is_counted_twice_and_nothing_is_lost(metered: Metered) -> None:
    metered.sampled(0, web(100))
    metered.sampled(10, web(150))
    metered.take(20, web(190))  # never written
    again = Metered(metered.place.parent)
    again.sampled(25, web(200))
    again.writer.close()
    assert metered.users() == [("2026-09-21", "web", 100)]


def test_two_that_write_count_once(metered: Metered) -> None:
    """The daemon was stopped for a moment, and cron has sampled meanwhile."""
    other = Metered(metered.place.parent)
    metered.sampled(0, web(100))
    with pytest.raises(Outdated):
        other.sampled(10, web(150))
    other.begin()
    other.sampled(20, web(150))
    with pytest.raises(Outdated):
        metered.sampled(30, web(180))
    metered.begin()
    metered.sampled(40, web(180))
    other.writer.close()
    assert metered.users() == [("2026-09-21", "web", 80)]


def test_a_reboot_begins_anew(metered: Metered) -> None:
    metered.sampled(0, web(100))
    metered.sampled(10, web(150))
    rebooted = Metered(metered.place.parent, boot="b2")
    assert len(rebooted.tally) == 0
    rebooted.sampled(5, web(3), step=600)
    rebooted.sampled(15, web(9), step=600)
    rebooted.writer.close()
    assert metered.users() == [("2026-09-21", "web", 50), ("2026-09-21", "web", 6)]


@pytest.mark.parametrize("step", [3600, -3600])
def test_a_clock_that_is_set_changes_no_old_figure(metered: Metered, step: int) -> None:
    metered.sampled(0, web(100))
    metered.sampled(10, web(150))
    before = metered.users("hour")
    metered.sampled(20, web(160), step=step)
    metered.sampled(30, web(170), step=step)
    metered.sampled(40, web(190))
    after = metered.users("hour")
    assert after[: len(before)] == before
    assert [user for *_, user in after] == [50, 20, 20]
    assert metered.users("day") == [("2026-09-21", "web", 90)]


def test_a_cgroup_that_is_gone_has_no_base(metered: Metered) -> None:
    metered.sampled(0, web(100))
    metered.tally.last(Moment(5000, WALL + 5000), [web(120)])
    metered.write(metered.take(10))
    assert metered.rows("SELECT * FROM bases") == []
    assert metered.users() == [("2026-09-21", "web", 20)]


def test_a_plan_that_changed_splits_the_day(metered: Metered) -> None:
    plan = "small"

    def of(path: str) -> Owner:
        return Owner("alice", "web", plan)

    for seconds, user in ((0, 0), (10, 5), (20, 12)):
        now = metered.take(seconds, web(user))
        metered.writer.write("b1", now, "UTC", metered.tally.unwritten(), of, {}, ())
        metered.tally.wrote()
        plan = "large" if seconds == 10 else plan
    rows = metered.rows("SELECT plan, user FROM uses JOIN series ON series.id = series WHERE user > 0 GROUP BY plan")
    assert rows == [("large", 7), ("small", 5)]


@pytest.mark.parametrize("text", [b"no database at all", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_file_is_set_aside(tmp_path: Path, text: bytes) -> None:
    place = tmp_path / "ledger"
    place.mkdir()
    (place / NAME).write_bytes(text)
    metered = Metered(tmp_path)
    metered.sampled(0, web(1))
    metered.writer.close()
    assert (place / f"{NAME}.damaged-1").read_bytes() == text
    (warning,) = metered.warnings
    assert warning.startswith(f"{place}/{NAME} is damaged: ")
    assert warning.endswith(f"it is set aside as {NAME}.damaged-1, and a new ledger is begun")


def test_a_file_that_is_damaged_while_it_is_written_is_set_aside(metered: Metered) -> None:
    """atop 34: it is not written on behind a broken spot."""
    metered.sampled(0, *(web(1)._replace(path=f"alice/w{n}") for n in range(2000)))
    metered.writer._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    path = metered.place / NAME
    size = path.stat().st_size
    with path.open("r+b") as file:
        for page in range(60, size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    metered.writer.close()
    metered.writer = LedgerWriter(str(metered.place), 1 << 40, metered.warnings.append)
    with pytest.raises(Outdated):
        metered.begin()
        metered.sampled(10, *(web(9)._replace(path=f"alice/w{n}") for n in range(2000)))
    metered.begin()
    metered.sampled(20, web(1))
    metered.sampled(30, web(2))
    assert metered.users() == [("2026-09-21", "web", 1)]
    assert len(metered.warnings) == 1


def test_a_file_of_a_newer_version_is_left_alone(metered: Metered) -> None:
    metered.rows("PRAGMA user_version = 99")
    with pytest.raises(LedgerError, match="newer paas-isolate"):
        Metered(metered.place.parent)


def test_what_cannot_be_written_is_kept_until_it_can(metered: Metered) -> None:
    """A full disk, as far as SQLite knows of one: no page more."""
    metered.sampled(0, web(100))
    pages = metered.writer._connection.execute("PRAGMA page_count").fetchone()[0]
    metered.writer._connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    many = [web(n)._replace(path=f"alice/w{n}") for n in range(2000)]
    with pytest.raises(LedgerError, match="full"):
        metered.sampled(10, web(150), *many)
    metered.writer._connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    metered.sampled(20, web(160))
    assert metered.users() == [("2026-09-21", "web", 60)]
    assert len(metered.rows("SELECT * FROM bases")) == 2001


def test_a_reader_sees_what_was_written_and_holds_nobody_up(metered: Metered) -> None:
    metered.sampled(0, web(100))
    metered.sampled(10, web(150))
    with reading(str(metered.place)) as connection:
        assert connection.execute("SELECT sum(user) FROM uses").fetchone() == (100,)
        metered.sampled(20, web(160))
        assert connection.execute("SELECT sum(user) FROM uses").fetchone() == (100,)
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("DELETE FROM uses")


def test_there_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger yet"), reading(str(tmp_path)):
        pass
    assert os.listdir(tmp_path) == []


def hour_of_samples(metered: Metered, hours: int = 1) -> Moment:
    now = metered.take(0, web(0))
    for n in range(1, hours * 60 + 15):
        for part in range(6):
            now = metered.take(60 * n + 10 * part, web(n * 6 + part, memory=MB * (1 + n % 3)))
        metered.write(now)
    return now


def test_samples_become_one_block_an_hour(metered: Metered) -> None:
    now = hour_of_samples(metered)
    chunks = metered.rows("SELECT * FROM chunks WHERE series > 0")
    with reading(str(metered.place)) as connection:
        rows = history.read(connection, 1, HOUR, HOUR + 1, history.SAMPLES)
    metered.writer.tidy(now)
    with reading(str(metered.place)) as connection:
        assert history.read(connection, 1, HOUR, HOUR + 1, history.SAMPLES) == rows
        by_minute = history.read(connection, 1, HOUR, HOUR, history.MINUTES)
        assert history.read(connection, history.TIMES, HOUR, HOUR, history.SAMPLES)[0] == (WALL, ())
    assert len(chunks) > 60
    assert metered.rows("SELECT seconds, count(*) FROM blocks WHERE series > 0 GROUP BY 1") == [(10, 1), (60, 1)]
    assert 40 <= len(by_minute) <= 48
    (samples, size) = metered.rows("SELECT count(*), sum(length(data)) FROM blocks WHERE seconds = 10 AND series = 1")[
        0
    ]
    assert samples == 1
    assert int(str(size)) < 1000


def test_old_values_are_deleted_and_days_never(metered: Metered) -> None:
    now = hour_of_samples(metered, 2)
    metered.writer.tidy(now)
    days = metered.users("day")
    later = Moment(now.at, now.wall + 15 * 86_400_000)
    metered.writer.tidy(later)
    assert metered.rows("SELECT count(*) FROM blocks") == [(0,)]
    assert metered.users("hour") != []
    metered.writer.tidy(Moment(now.at, now.wall + 367 * 86_400_000))
    assert metered.users("hour") == []
    assert metered.users("day") == days


def test_the_size_is_capped(tmp_path: Path) -> None:
    metered = Metered(tmp_path, keep=1)
    now = hour_of_samples(metered, 2)
    days = metered.users("day")
    for _ in range(20):
        metered.writer.tidy(now)
    assert metered.rows("SELECT count(*) FROM blocks") == [(0,)]
    assert metered.users("hour") == []
    assert metered.users("day") == days
    metered.writer.close()
