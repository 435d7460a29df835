"""Which limits were hit lately, according to the kernel's counters."""

import pytest

from paas_isolate.daemon import limit_events as room
from paas_isolate.daemon.limit_events import DAY, LimitEvent, LimitEvents
from paas_isolate.usage import LimitCounters


def test_the_first_look_tells_nothing() -> None:
    hits = LimitEvents()
    assert hits.of("inn") == (0, ())
    hits.take("inn", {"web": LimitCounters(killed=7)}, 100)
    assert hits.of("inn") == (100, ())


def test_a_hit_is_between_two_looks() -> None:
    hits = LimitEvents()
    hits.take("inn", {"": LimitCounters(), "web": LimitCounters(killed=7)}, 100)
    hits.take("inn", {"": LimitCounters(), "web": LimitCounters(killed=7)}, 110)
    hits.take("inn", {"": LimitCounters(refused=2), "web": LimitCounters(killed=9)}, 120)
    assert hits.of("inn")[1] == (LimitEvent("", "refused", 2, 110, 120), LimitEvent("web", "killed", 2, 110, 120))


def test_a_limit_that_is_hit_for_hours_is_one_event() -> None:
    hits = LimitEvents()
    for minute in range(100):
        hits.take("inn", {"web": LimitCounters(throttled=5 * minute)}, 60 * minute)
    hits.take("inn", {"web": LimitCounters(throttled=495)}, 6000)
    hits.take("inn", {"web": LimitCounters(throttled=496)}, 6060)
    assert hits.of("inn")[1] == (
        LimitEvent("web", "throttled", 495, 0, 5940),
        LimitEvent("web", "throttled", 1, 6000, 6060),
    )


def test_a_hit_of_a_service_is_not_one_of_its_account() -> None:
    """As the counters of an account go: those of 6.12, and the older ones of forks, which it does not share."""
    hits = LimitEvents()
    hits.take("inn", {}, 100)
    hits.take("inn", {"": LimitCounters(2, 3, 4), "web": LimitCounters(2, 1, 5), "other": LimitCounters(0, 1, 0)}, 110)
    assert hits.of("inn")[1] == (
        *(LimitEvent("", "refused", 1, 100, 110), LimitEvent("", "throttled", 4, 100, 110)),
        *(
            LimitEvent("web", what, number, 100, 110)
            for what, number in (("killed", 2), ("refused", 1), ("throttled", 5))
        ),
        LimitEvent("other", "refused", 1, 100, 110),
    )
    hits.take("inn", {"": LimitCounters(2, 3, 4), "web": LimitCounters(2, 2, 5)}, 120)
    assert hits.of("inn")[1][-1] == LimitEvent("web", "refused", 2, 100, 120)


def test_another_cgroup_of_the_same_name_starts_from_zero() -> None:
    hits = LimitEvents()
    hits.take("inn", {"web": LimitCounters(9, 9, 9)}, 100)
    hits.take("inn", {"web": LimitCounters(0, 9, 2)}, 110)
    assert [hit.number for hit in hits.of("inn")[1]] == [9, 2]
    hits.take("inn", {}, 120)
    hits.take("inn", {"web": LimitCounters(0, 1, 0)}, 130)
    assert hits.of("inn")[1][-1] == LimitEvent("web", "refused", 1, 120, 130)


def test_a_look_in_the_midst_of_a_group_kill_tells_no_kill_again() -> None:
    hits = LimitEvents()
    for number, killed in enumerate((9, 10, 9)):
        hits.take("inn", {"web": LimitCounters(killed=killed)}, 100 + number)
    assert [hit.number for hit in hits.of("inn")[1]] == [1]


def test_after_a_day_it_is_not_lately() -> None:
    hits = LimitEvents()
    hits.take("inn", {}, 0)
    hits.take("inn", {"web": LimitCounters(1)}, 10)
    hits.take("inn", {"web": LimitCounters(1)}, 10 + DAY - 1)
    assert len(hits.of("inn")[1]) == 1
    hits.take("inn", {"web": LimitCounters(1)}, 10 + DAY)
    assert hits.of("inn") == (0, ())


def test_few_hits_are_kept_per_account_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    hits = LimitEvents()
    for time in range(0, 400, 10):
        hits.take("inn", {"web": LimitCounters(killed=time // 20)}, time)
    kept = hits.of("inn")[1]
    assert len(kept) == room.EACH
    assert [hit.until for hit in kept] == [*range(240, 400, 20)]
    monkeypatch.setattr(room, "ALL", 10)
    for name in ("a", "b", "c", "d"):
        for time in range(0, 400, 10):
            hits.take(name, {"web": LimitCounters(killed=time // 20)}, time)
    assert len(hits.of("d")[1]) == 1
    assert sum(len(hits.of(name)[1]) for name in ("inn", "a", "b", "c", "d")) <= 10 + room.EACH
    hits.forget_all_but({"d"})
    assert not hits.knows("inn")
    for time in range(400, 800, 10):
        hits.take("d", {"web": LimitCounters(killed=time // 20)}, time)
    assert len(hits.of("d")[1]) == room.EACH
