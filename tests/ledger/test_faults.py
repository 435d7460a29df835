"""Faults as rows: joined to incidents, with pictures, longer there than the cgroup."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from paas_isolate.ledger import faults
from paas_isolate.ledger.schema import SCHEMA
from paas_isolate.metering.detection import Events
from paas_isolate.metering.faults import Fault, Kind, Level, Picture, Process, Taken

WALL = 1_800_000_000_000
DAY = 86_400_000


@pytest.fixture
def ledger() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO names VALUES ('alice', 'alice')")
        yield connection


def fault(
    seconds: float, kind: Kind = Kind.KILLED, level: Level = Level.LEAF, leaf: str = "web", number: int = 1
) -> Fault:
    at = int(seconds * 1000)
    return Fault(kind, level, "alice", leaf, "small", at, WALL + at, number, limit="536870912")


def picture(seconds: float, command: str = "php") -> Taken:
    at = int(seconds * 1000)
    processes = (Process(7, command, "alice", "web", "alice", 1 << 20, 0.5, "running", 3.0),)
    return Taken(Kind.KILLED, Level.LEAF, "alice", "web", at, Picture(WALL + at, processes))


def numbers(connection: sqlite3.Connection, **asked: object) -> list[int]:
    return [each.number for each in faults.incidents(connection, **asked)]  # type: ignore[arg-type]


def pictured(connection: sqlite3.Connection) -> list[str]:
    return [directory for (directory,) in connection.execute("SELECT directory FROM pictures")]


def test_what_is_seen(ledger: sqlite3.Connection) -> None:
    faults.see(ledger, {"alice": Events(1, 2, 3, 4), "bob": Events(killed=1)})
    faults.see(ledger, {"alice": Events(killed=9), "bob": None})
    assert faults.seen(ledger) == {"alice": Events(killed=9)}


def test_faults_of_five_minutes_are_one_incident(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(0), fault(300, number=2), fault(600), fault(900.001)])
    joined, alone = faults.incidents(ledger)
    assert (joined.number, joined.begin, joined.end) == (4, WALL, WALL + 600_000)
    assert (alone.number, alone.begin, alone.limit) == (1, WALL + 900_001, "536870912")
    assert [each.number for each in faults.faults(ledger)] == [1, 2, 1, 1]


@pytest.mark.parametrize(
    "other",
    [
        fault(1, kind=Kind.SLOWED),
        fault(1, level=Level.ACCOUNT),
        fault(1, leaf="login"),
        fault(1)._replace(directory="bob"),
        fault(1)._replace(plan="large"),
    ],
)
def test_other_faults_are_other_incidents(ledger: sqlite3.Connection, other: Fault) -> None:
    faults.add(ledger, 1, [fault(0), other, fault(2)])
    assert sorted(numbers(ledger)) == [1, 2]


def test_a_reboot_begins_another_incident(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(10)])
    faults.add(ledger, 2, [fault(12)])
    assert numbers(ledger) == [1, 1]


def test_the_limit_of_an_account_joins_all_its_leaves(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(0, level=Level.ACCOUNT), fault(1, level=Level.ACCOUNT, leaf="login")])
    (incident,) = faults.incidents(ledger)
    assert (incident.number, incident.leaf) == (2, "")
    assert [each.leaf for each in faults.faults(ledger)] == ["web", "login"]


def test_questions(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(0), fault(1, kind=Kind.REFUSED), fault(1000)])
    assert numbers(ledger, account="alice", kind=Kind.REFUSED) == [1]
    assert numbers(ledger, account="bob") == []
    assert numbers(ledger, since=WALL + 500_000) == [1]
    assert numbers(ledger, until=WALL + 500_000) == [1, 1]


def test_pictures(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(0), fault(1000)])
    faults.add_pictures(ledger, 1, [picture(1000 + number) for number in range(12)])
    first, second = faults.incidents(ledger)
    assert faults.pictures(ledger, first.id) == []
    assert len(faults.pictures(ledger, second.id)) == 10
    assert faults.pictures(ledger, second.id)[0] == picture(1000).picture
    ledger.execute("UPDATE pictures SET data = 'torn' WHERE wall = ?", (WALL + 1_000_000,))
    assert len(faults.pictures(ledger, second.id)) == 9


def test_a_command_line_of_any_bytes(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(0)])
    faults.add_pictures(ledger, 1, [picture(0, "x\udcff\0\x1b[2J")])
    (found,) = faults.pictures(ledger, 1)
    assert found.processes[0].command == "x?\0\x1b[2J"


def test_pictures_are_erased_with_the_account_and_faults_are_not(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(0)])
    faults.add_pictures(ledger, 1, [picture(0)])
    faults.forget(ledger, lambda directory: directory == "alice")
    assert pictured(ledger) == ["alice"]
    faults.forget(ledger, lambda directory: False)
    assert pictured(ledger) == []
    assert numbers(ledger) == [1]


def test_what_is_old_is_deleted(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(0)])
    faults.add_pictures(ledger, 1, [picture(0)])
    faults.prune(ledger, WALL + 31 * DAY)
    assert (pictured(ledger), faults.faults(ledger), numbers(ledger)) == ([], [], [1])
    faults.prune(ledger, WALL + 367 * DAY)
    assert numbers(ledger) == []


def test_a_ledger_that_is_too_large_keeps_incidents_longer_than_faults(ledger: sqlite3.Connection) -> None:
    faults.add(ledger, 1, [fault(0), fault(200), fault(2 * 86400)])
    assert faults.drop_oldest(ledger)
    assert len(faults.faults(ledger)) == 1
    assert faults.drop_oldest(ledger)
    assert not faults.drop_oldest(ledger)
    assert numbers(ledger) == [2, 1]


def test_amounts_are_sums_and_of_a_disk_the_highest(ledger: sqlite3.Connection) -> None:
    for kind in (Kind.THROTTLED, Kind.DISK):
        faults.add(ledger, 1, [fault(0, kind)._replace(amount=5), fault(1, kind)._replace(amount=3, limit="9")])
    assert [(each.amount, each.limit) for each in faults.incidents(ledger)] == [(8, "9"), (5, "9")]
