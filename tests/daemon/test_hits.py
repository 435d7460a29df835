"""Which limits were hit lately, by what the counters said."""

import pytest

from paas_isolate.daemon import hits as room
from paas_isolate.daemon.hits import DAY, Hit, Hits
from paas_isolate.sample import Struck


def test_the_first_look_tells_nothing() -> None:
    hits = Hits()
    assert hits.of("inn") == (0, ())
    hits.take("inn", {"web": Struck(killed=7)}, 100)
    assert hits.of("inn") == (100, ())


def test_a_hit_is_between_two_looks() -> None:
    hits = Hits()
    hits.take("inn", {"": Struck(), "web": Struck(killed=7)}, 100)
    hits.take("inn", {"": Struck(), "web": Struck(killed=7)}, 110)
    hits.take("inn", {"": Struck(refused=2), "web": Struck(killed=9)}, 120)
    assert hits.of("inn")[1] == (Hit("", "refused", 2, 110, 120), Hit("web", "killed", 2, 110, 120))


def test_who_is_at_a_limit_for_hours_has_hit_it_once() -> None:
    hits = Hits()
    for minute in range(100):
        hits.take("inn", {"web": Struck(throttled=5 * minute)}, 60 * minute)
    hits.take("inn", {"web": Struck(throttled=495)}, 6000)
    hits.take("inn", {"web": Struck(throttled=496)}, 6060)
    assert hits.of("inn")[1] == (Hit("web", "throttled", 495, 0, 5940), Hit("web", "throttled", 1, 6000, 6060))


def test_what_a_service_has_hit_its_account_has_not() -> None:
    """As the counters of an account go: those of 6.12, and the older ones of forks, which it does not share."""
    hits = Hits()
    hits.take("inn", {}, 100)
    hits.take("inn", {"": Struck(2, 3, 4), "web": Struck(2, 1, 5), "other": Struck(0, 1, 0)}, 110)
    assert hits.of("inn")[1] == (
        *(Hit("", "refused", 1, 100, 110), Hit("", "throttled", 4, 100, 110)),
        *(Hit("web", what, number, 100, 110) for what, number in (("killed", 2), ("refused", 1), ("throttled", 5))),
        Hit("other", "refused", 1, 100, 110),
    )
    hits.take("inn", {"": Struck(2, 3, 4), "web": Struck(2, 2, 5)}, 120)
    assert hits.of("inn")[1][-1] == Hit("web", "refused", 2, 100, 120)


def test_another_cgroup_of_the_same_name_begins_anew() -> None:
    hits = Hits()
    hits.take("inn", {"web": Struck(9, 9, 9)}, 100)
    hits.take("inn", {"web": Struck(0, 9, 2)}, 110)
    assert [it.number for it in hits.of("inn")[1]] == [9, 2]
    hits.take("inn", {}, 120)
    hits.take("inn", {"web": Struck(0, 1, 0)}, 130)
    assert hits.of("inn")[1][-1] == Hit("web", "refused", 1, 120, 130)


def test_after_a_day_it_is_not_lately() -> None:
    hits = Hits()
    hits.take("inn", {}, 0)
    hits.take("inn", {"web": Struck(1)}, 10)
    hits.take("inn", {"web": Struck(1)}, 10 + DAY - 1)
    assert len(hits.of("inn")[1]) == 1
    hits.take("inn", {"web": Struck(1)}, 10 + DAY)
    assert hits.of("inn") == (0, ())


def test_an_account_keeps_few_and_all_of_them_not_many(monkeypatch: pytest.MonkeyPatch) -> None:
    hits = Hits()
    for time in range(0, 400, 10):
        hits.take("inn", {"web": Struck(killed=time // 20)}, time)
    kept = hits.of("inn")[1]
    assert len(kept) == room.EACH
    assert [it.until for it in kept] == [*range(240, 400, 20)]
    monkeypatch.setattr(room, "ALL", 10)
    for name in ("a", "b", "c", "d"):
        for time in range(0, 400, 10):
            hits.take(name, {"web": Struck(killed=time // 20)}, time)
    assert len(hits.of("d")[1]) == 1
    assert sum(len(hits.of(name)[1]) for name in ("inn", "a", "b", "c", "d")) <= 10 + room.EACH
    hits.forget_all_but({"d"})
    assert not hits.knows("inn")
    for time in range(400, 800, 10):
        hits.take("d", {"web": Struck(killed=time // 20)}, time)
    assert len(hits.of("d")[1]) == room.EACH
