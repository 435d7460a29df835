"""What was used between two readings."""

from hypothesis import given
from hypothesis import strategies as st

from paas_isolate.metering.reading import Counters, Levels
from paas_isolate.metering.use import GAP, NOTHING, SUMMED, Use, area, between, grown, held, known, shares, total

GB = 1 << 30
MINUTE = 60_000
NUMBERS = st.one_of(st.none(), st.integers(0, 2**62))
USES = st.builds(Use, *[NUMBERS for _ in Use._fields])


def test_the_growth_of_each_counter() -> None:
    assert grown(Counters(user=5, system=1), Counters(user=9, system=1)) == Counters(user=4, system=0)


def test_a_counter_that_fell_drops_the_whole_row() -> None:
    """podman 11469: an unsigned difference of 2^64."""
    assert grown(Counters(user=9, system=1, read=7), Counters(user=900, system=1, read=6)) is None


def test_a_reading_in_the_midst_of_a_group_kill_loses_nothing() -> None:
    before, now = Counters(user=9, frozen=0, killed=1, slowed=3), Counters(user=12, frozen=0, killed=0, slowed=5)
    assert grown(before, now) == Counters(user=3, frozen=0, killed=0, slowed=2)


@given(st.tuples(*[NUMBERS] * len(Counters._fields)), st.tuples(*[NUMBERS] * len(Counters._fields)))
def test_growth_is_never_negative_nor_more_than_the_counter(before: tuple[int], now: tuple[int]) -> None:
    growth = grown(Counters(*before), Counters(*now))
    assert growth is None or all(each is None or 0 <= each <= (new or 0) for each, new in zip(growth, now, strict=True))


def test_what_is_missing_is_unknown_and_counted_when_it_is_back() -> None:
    first, torn, last = Counters(user=5, read=10), Counters(user=6), Counters(user=7, read=14)
    assert grown(first, torn) == Counters(user=1)
    assert grown(known(first, torn), last) == Counters(user=1, read=4)


def test_memory_is_the_area_below_the_line() -> None:
    """512 MB held for 10 minutes are 0.0833 GB-hours."""
    kib_seconds = area(GB // 2, GB // 2, 10 * MINUTE)
    assert kib_seconds is not None
    assert round(kib_seconds / (1 << 20) / 3600, 4) == 0.0833
    assert area(0, GB, 10 * MINUTE) == kib_seconds
    assert area(None, GB, MINUTE) is area(GB, None, MINUTE) is None


def test_after_a_gap_only_what_the_kernel_counted_counts() -> None:
    """PerformanceMonitor 2233: a gap is no time in which nothing was used."""
    use = between(Counters(user=7), Levels(GB), Levels(GB), GAP + 1)
    assert (use.user, use.memory, use.measured) == (7, None, None)
    assert between(Counters(user=7), Levels(GB), Levels(GB), GAP).measured == GAP


def test_who_does_nothing_uses_what_he_holds() -> None:
    use = held(Levels(memory=GB, own=0), MINUTE)
    assert (use.memory, use.own, use.swap, use.measured, use.user) == (60 << 20, 0, None, MINUTE, None)


@given(USES, USES)
def test_a_sum_knows_what_one_of_both_knows(one: Use, other: Use) -> None:
    both = total(one, other)
    for name in SUMMED:
        values = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        assert getattr(both, name) == (sum(values) if values else None)
    assert total(one, NOTHING) == one


@given(USES, st.lists(st.integers(0, 10**7), min_size=1, max_size=5))
def test_shares_sum_to_the_whole(use: Use, weights: list[int]) -> None:
    summed = NOTHING
    for share in shares(use, weights):
        summed = total(summed, share)
    assert summed == use
