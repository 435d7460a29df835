"""Questions about a ledger."""

from datetime import date
from pathlib import Path

import pytest

from paas_isolate.ledger.database import reading
from paas_isolate.ledger.queries import LABEL, MONTH, Question, Total, known, labels, totals
from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.reading import Reading
from tests.support.ledger import HOUR, MB, WALL, Metered, web

SEPTEMBER = Question("day", "2026-09-01", "2026-09-30")
DAY = 86_400


def asked(metered: Metered, question: Question) -> list[Total]:
    with reading(str(metered.place)) as connection:
        return totals(connection, question, Calendar(metered.zone))


def account(user: int, memory: int = MB) -> Reading:
    return web(user, memory)._replace(path="alice", inode=3)


def busy(metered: Metered, hours: int = 1, step: int = 0) -> None:
    """An account and its leaf use 1 s of CPU time each minute."""
    for minute in range(hours * 60 + 1):
        reading_ = web(minute * 1_000_000)
        metered.sampled(minute * 60, reading_, reading_._replace(path="alice", inode=3), step=step)


def test_an_account_alone_or_with_its_leaves(tmp_path: Path) -> None:
    metered = Metered(tmp_path)
    busy(metered)
    (alone,) = asked(metered, SEPTEMBER)
    assert (alone.account, alone.leaf, alone.plan, alone.label) == ("alice", "", "small", "")
    assert (alone.use.user, alone.use.measured) == (60_000_000, 3_600_000)
    whole, leaf = asked(metered, SEPTEMBER._replace(leaves=True))
    assert (leaf.leaf, leaf.use.user) == ("web", whole.use.user)


def test_by_hour_day_and_month(tmp_path: Path) -> None:
    metered = Metered(tmp_path)
    busy(metered, 12)
    days = asked(metered, SEPTEMBER._replace(by=LABEL))
    assert [each.label for each in days] == ["2026-09-21", "2026-09-22"]
    (month,) = asked(metered, SEPTEMBER._replace(by=MONTH))
    assert (month.label, month.use.user) == ("2026-09", 12 * 60_000_000)
    hours = asked(metered, Question("hour", HOUR, HOUR + 20, by=LABEL))
    assert [each.label for each in hours] == [*range(HOUR, HOUR + 13)]
    assert sum(each.use.user or 0 for each in hours) == sum(each.use.user or 0 for each in days)


def test_who_does_nothing_has_used_what_he_holds_until_now(tmp_path: Path) -> None:
    metered = Metered(tmp_path)
    metered.sampled(0, web(5)._replace(path="alice", inode=3))
    for minute in range(1, 121):
        metered.sampled(minute * 60)
    (total,) = asked(metered, SEPTEMBER)
    assert (total.use.measured, total.use.memory) == (7_200_000, 1024 * 7200)
    assert asked(metered, SEPTEMBER._replace(account="bob")) == []


def test_a_day_on_which_clocks_are_set_back_has_25_hours(tmp_path: Path) -> None:
    metered = Metered(tmp_path, zone="Europe/Berlin")
    calendar = Calendar("Europe/Berlin")
    begin = (calendar.midnight(date(2026, 10, 24)) - WALL) // 1000
    for minute in range(0, 3 * 24 * 60, 2):
        metered.sampled(minute * 60, web(minute)._replace(path="alice", inode=3), step=begin)
    days = asked(metered, Question("day", "2026-10-01", "2026-10-31", by=LABEL))
    assert [(each.label, each.use.measured) for each in days[:2]] == [
        ("2026-10-24", 24 * 3_600_000),
        ("2026-10-25", 25 * 3_600_000),
    ]


@pytest.mark.parametrize(
    ("first", "last", "hours"), [("2026-10-24", "2026-10-26", 73), ("2026-03-28", "2026-03-30", 71)]
)
def test_over_a_change_of_clocks_all_of_the_time_is_measured(first: str, last: str, hours: int, tmp_path: Path) -> None:
    metered, calendar = Metered(tmp_path, zone="Europe/Berlin"), Calendar("Europe/Berlin")
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    assert calendar.seconds_of(begin, end) == hours * 3600
    step = (calendar.midnight(begin) - WALL) // 1000
    for minute in range(0, hours * 60 + 1, 2):
        metered.sampled(minute * 60, account(minute), step=step)
    (total,) = asked(metered, Question("day", first, last))
    assert (total.use.measured, total.use.user) == (hours * 3_600_000, hours * 60)


def test_a_reboot_and_a_clock_that_is_set_change_no_sum(tmp_path: Path) -> None:
    first = Metered(tmp_path)
    busy(first)
    first.writer.close()
    again = Metered(tmp_path, boot="b2")
    busy(again, step=7200)
    again.sampled(3660, web(60_000_000)._replace(path="alice", inode=3), step=3600)
    (total,) = asked(again, SEPTEMBER)
    assert total.use.user == 120_000_000
    assert total.use.measured == 2 * 3_600_000 + 60_000


def test_the_same_answer_each_time_also_from_a_new_program(tmp_path: Path) -> None:
    metered = Metered(tmp_path)
    busy(metered, 3)
    before = asked(metered, SEPTEMBER)
    metered.writer.close()
    (tmp_path / "ledger/ledger.db-shm").unlink(missing_ok=True)
    assert asked(metered, SEPTEMBER) == before


def test_who_is_gone_is_still_on_the_bill(tmp_path: Path) -> None:
    metered = Metered(tmp_path)
    busy(metered)
    metered.write(metered.take(3660, gone=("alice/web", "alice")))
    assert metered.rows("SELECT count(*) FROM bases") == [(0,)]
    (total,) = asked(metered, SEPTEMBER)
    assert total.use.user == 60_000_000


@pytest.mark.parametrize(("name", "expected"), [("alice", True), ("bob", False), ("", False)])
def test_who_was_ever_counted(name: str, expected: bool, tmp_path: Path) -> None:
    metered = Metered(tmp_path)
    busy(metered)
    with reading(str(metered.place)) as connection:
        assert known(connection, name) == expected


def test_labels_are_those_that_an_account_had_last(tmp_path: Path) -> None:
    metered = Metered(tmp_path)

    def written(seconds: int, **of: dict[str, str]) -> dict[str, dict[str, str]]:
        metered.labels = of
        metered.sampled(seconds)
        with reading(str(metered.place)) as connection:
            return labels(connection)

    assert written(0, alice={"reseller": "north", "kind": "a"}, bob={}) == {"alice": {"reseller": "north", "kind": "a"}}
    assert written(10, alice={"reseller": "south"}, bob={"reseller": "x"}) == {
        "alice": {"reseller": "south"},
        "bob": {"reseller": "x"},
    }
    assert written(20, bob={}) == {"alice": {"reseller": "south"}}  # alice was deleted
