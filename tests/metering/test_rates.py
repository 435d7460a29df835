"""Rates between two readings."""

import pytest

from paas_isolate.metering.rates import Rates, idle, rates
from paas_isolate.metering.reading import Counters

BEFORE = Counters(user=1_000_000, system=500_000, throttled=0, read=1000, written=None, cpu_some=0, io_some=10)


def test_rates_are_what_grew_in_the_time() -> None:
    now = BEFORE._replace(user=3_000_000, system=1_500_000, throttled=200_000, read=5000, cpu_some=500_000)
    found = rates(BEFORE, now, 2000)
    assert found == Rates(
        cpu=1.5, throttled=0.1, read=2000.0, written=None, cpu_wait=0.25, memory_wait=None, io_wait=0.0
    )
    assert found.wait == 0.25


@pytest.mark.parametrize(("now", "milliseconds"), [(BEFORE._replace(user=0), 2000), (BEFORE, 0), (BEFORE, -1)])
def test_nothing_is_known_of_another_cgroup_or_of_no_time(now: Counters, milliseconds: int) -> None:
    assert rates(BEFORE, now, milliseconds) == Rates()
    assert Rates().wait is None


def test_an_idle_cgroup_has_0_only_of_what_it_has_counters_of() -> None:
    assert idle(BEFORE) == Rates(cpu=0.0, throttled=0.0, read=0.0, written=None, cpu_wait=0.0, io_wait=0.0)
