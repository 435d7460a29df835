"""Readings become hours and days."""

import pytest

from paas_isolate.metering.calendar import Calendar
from paas_isolate.metering.reading import Counters, Levels, Reading
from paas_isolate.metering.tally import Base, Moment, Slot, Tally, until_now
from paas_isolate.metering.use import NOTHING, Use, total

GB = 1 << 30
WALL = 1_790_000_000_000  # 2026-09-21T14:13:20Z
NOON = WALL // 3_600_000 * 3_600_000
HOUR, DAY = NOON // 3_600_000, "2026-09-21"
WEB = "alice/web"


def moment(seconds: float, wall: int = WALL) -> Moment:
    return Moment(int(seconds * 1000), wall + int(seconds * 1000))


def reading(user: int, path: str = WEB, inode: int = 7, memory: int | None = None) -> Reading:
    return Reading(path, inode, Counters(user=user, system=0), Levels(memory=memory))


def tally(*bases: Base, sampled: Moment | None = None, zone: str = "UTC") -> Tally:
    return Tally(Calendar(zone), bases, sampled)


def uses(counted: Tally, path: str = WEB) -> dict[Slot, Use]:
    found: dict[Slot, Use] = {}
    for each in counted.unwritten():
        for slot, use in each.uses.items() if each.path == path else ():
            found[slot] = total(found.get(slot, NOTHING), use)
    return found


def used(counted: Tally, path: str = WEB) -> Use:
    whole = NOTHING
    for use in uses(counted, path).values():
        whole = total(whole, use)
    return whole


def test_the_first_reading_is_no_use() -> None:
    """What was used before may be years old."""
    counted = tally()
    counted.take(moment(0), [reading(5_000_000)])
    assert used(counted) == NOTHING
    counted.take(moment(10), [reading(5_000_900)])
    assert uses(counted) == {Slot(HOUR, DAY): Use(user=900, system=0, measured=10_000)}


def test_another_inode_is_another_cgroup_whatever_its_counters_say() -> None:
    """metrics-server 745: a cgroup that was made anew has counted beyond the old one's value."""
    counted = tally()
    counted.take(moment(0), [reading(100)])
    counted.take(moment(10), [reading(150)])
    counted.take(moment(20), [reading(5_000, inode=8)])
    counted.take(moment(30), [reading(5_010, inode=8)])
    assert used(counted).user == 60


def test_what_a_cgroup_that_was_made_anew_has_counted_is_no_use_of_the_old_one() -> None:
    """metrics-server 746: it has counted less, and the difference was taken for use."""
    counted = tally()
    counted.take(moment(0), [reading(100)])
    counted.take(moment(10), [reading(40, inode=8)])
    assert used(counted).user is None
    counted.take(moment(20), [reading(45, inode=8)])
    assert used(counted).user == 5


def test_a_counter_that_fell_is_never_a_large_figure() -> None:
    """systemd 749: an unsigned difference."""
    counted = tally()
    for at, user in ((0, 100), (10, 150), (20, 3), (30, 5)):
        counted.take(moment(at), [reading(user)])
    assert used(counted).user == 52


def test_the_reading_before_a_cgroup_is_removed_counts() -> None:
    """cadvisor 1992: what was used since the last sample is lost with the cgroup."""
    counted = tally()
    counted.take(moment(0), [reading(0)])
    counted.last(moment(7), [reading(6_000_000)])
    counted.take(moment(10), [])
    (gone,) = counted.unwritten()
    assert gone.base is None
    assert used(counted).user == 6_000_000
    counted.wrote()
    assert list(counted.unwritten()) == []


def test_a_cgroup_that_ended_unseen_keeps_what_was_read() -> None:
    """systemd 34754: the value is gone with the cgroup."""
    counted = tally()
    counted.take(moment(0), [reading(0)])
    counted.take(moment(10), [reading(700)])
    counted.take(moment(20), [], gone=[WEB])
    (gone,) = counted.unwritten()
    assert gone.base is None
    assert used(counted).user == 700


def test_who_does_nothing_accrues_what_he_holds() -> None:
    counted = tally()
    counted.take(moment(0), [reading(0, memory=GB // 2)])
    for n in range(1, 61):
        counted.take(moment(10 * n), [])
    counted.take(moment(610), [reading(1, memory=GB // 2)])
    use = used(counted)
    assert use.measured == 610_000
    assert use.memory == (512 << 10) * 610
    assert use.user == 1


def test_an_idle_cgroup_has_days_and_no_hours() -> None:
    counted = tally()
    counted.take(moment(0), [reading(0, memory=1 << 20)])
    counted.wrote()
    for n in range(1, 3601):
        counted.take(moment(10 * n), [])
    counted.take(moment(36_010), [reading(1, memory=1 << 20)])
    found = uses(counted)
    assert sum(use.measured or 0 for use in found.values()) == 36_010_000
    assert sum(use.memory or 0 for use in found.values()) == 1024 * 36_010
    midnight = 86_400_000 - WALL % 86_400_000
    assert {slot.day for slot in found} == {DAY, "2026-09-22"}
    assert sum(use.measured or 0 for slot, use in found.items() if slot.day == DAY) == midnight
    assert {slot.hour for slot in found} == {None, HOUR, HOUR + 10}
    assert found[Slot(HOUR + 10, "2026-09-22")].user == 1


def test_a_gap_is_not_measured_and_what_the_kernel_counted_is_not_lost() -> None:
    """PerformanceMonitor 2233: no 0 is written for time in which nobody looked."""
    counted = tally()
    counted.take(moment(0), [reading(0, memory=GB), reading(0, "bob/web", memory=GB)])
    counted.take(moment(7200), [reading(500, memory=GB)])
    use = used(counted)
    assert (use.user, use.measured, use.memory) == (500, None, None)
    assert sorted(slot.hour or 0 for slot in uses(counted)) == [HOUR, HOUR + 1, HOUR + 2]
    counted.take(moment(7210), [reading(500, "bob/web", memory=GB)])
    assert used(counted, "bob/web").measured == 10_000


def test_use_that_spans_two_hours_is_in_both() -> None:
    counted = tally()
    begin = Moment(0, NOON + 3_600_000 - 4_000)
    counted.take(begin, [reading(0)])
    counted.take(Moment(10_000, begin.wall + 10_000), [reading(1000)])
    assert {slot.hour: use.user for slot, use in uses(counted).items()} == {HOUR: 400, HOUR + 1: 600}


@pytest.mark.parametrize("step", [3600, -3600, 10**6])
def test_a_step_of_the_clock_moves_a_label_and_no_quantity(step: int) -> None:
    counted = tally()
    counted.take(moment(0), [reading(0, memory=GB)])
    counted.take(moment(10), [reading(100, memory=GB)])
    for n in range(2, 5):
        counted.take(moment(10 * n, WALL + step * 1000), [reading(100 * n, memory=GB)])
    use = used(counted)
    assert (use.user, use.measured, use.memory) == (400, 40_000, 40 << 20)
    assert {slot.hour for slot in uses(counted)} == {HOUR, (WALL // 1000 + step) // 3600}


def test_after_a_kill_the_difference_is_that_to_the_last_written_reading() -> None:
    killed = tally()
    killed.take(moment(0), [reading(100, memory=GB), reading(5, "bob/web", memory=GB)])
    killed.take(moment(60), [reading(200, memory=GB)])
    bases = [each.base for each in killed.unwritten() if each.base]
    before = used(killed).user
    killed.wrote()
    killed.take(moment(70), [reading(250, memory=GB)])  # lost with the process
    again = tally(*bases, sampled=moment(60))
    again.take(moment(75), [reading(290, memory=GB), reading(5, "bob/web", memory=GB)])
    assert (before, used(again).user, used(again).measured) == (100, 90, 15_000)
    assert used(again, "bob/web").measured == 75_000
    assert used(again, "bob/web").memory == 75 << 20


def test_what_is_not_written_yet_can_be_told() -> None:
    base = Base(WEB, 7, 0, Counters(user=1), Levels(memory=GB))
    found = list(until_now(base, moment(3600 * 12), Calendar("UTC")))
    assert {day for day, _ in found} == {DAY, "2026-09-22"}
    assert sum(use.memory or 0 for _, use in found) == (12 * 3600) << 20


def test_what_cannot_be_written_does_not_grow_without_end() -> None:
    counted = tally()
    for n in range(1000):
        counted.take(moment(10 * n), [reading(n)])
    (each,) = counted.unwritten()
    assert len(each.samples) == len(counted.times) == 60
    assert used(counted).user == 999


def wired(received: int | None, traffic_map: int | None) -> Reading:
    counters = Counters(user=0, system=0, received=received, sent=received)
    return Reading("alice", 7, counters, Levels(), traffic_map)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        pytest.param([(100, 5), (None, None), (150, 5)], 50, id="it is not read in each sample"),
        pytest.param([(100, 5), (150, 5), (170, 6)], 220, id="a map that was made anew begins at 0"),
        pytest.param([(100, 5), (None, None), (70, 6), (80, 6)], 80, id="also where nobody looked meanwhile"),
        pytest.param([(None, None), (100, 5), (120, 5)], 20, id="a map that was not seen before may be old"),
        pytest.param([(None, None), (None, None)], None, id="without a gate nothing is known"),
    ],
)
def test_traffic(readings: list[tuple[int | None, int | None]], expected: int | None) -> None:
    counted = tally()
    for number, each in enumerate(readings):
        counted.take(moment(10 * number), [wired(*each)])
    use = used(counted, "alice")
    assert (use.received, use.sent) == (expected, expected)


def test_a_traffic_map_that_was_made_anew_costs_no_other_counter() -> None:
    counted = tally()
    counted.take(moment(0), [wired(100, 5)])
    after = wired(3, 6)
    counted.take(moment(10), [after._replace(counters=after.counters._replace(user=9))])
    use = used(counted, "alice")
    assert (use.user, use.received) == (9, 3)


def test_time_in_the_freezer_where_the_kernel_says_only_whether() -> None:
    """Linux before 6.18. In the freezer nothing runs, so it is not read."""

    def looked(in_freezer: int | None) -> Reading:
        return Reading(WEB, 7, Counters(user=0, system=0), Levels(in_freezer=in_freezer))

    counted = tally()
    for at, each in ((0, looked(0)), (10, looked(None)), (20, looked(1)), (30, None), (4000, None), (4010, looked(0))):
        gap = [moment(n) for n in range(100, 4000, 100)] if at == 4000 else []
        for now in gap:
            counted.take(now, [])
        counted.take(moment(at), [each] if each else [])
    assert used(counted).frozen == (4010 - 20) * 1_000_000
