"""How often a login may be tried."""

from paas_isolate.web import tries
from paas_isolate.web.tries import ADDRESS, ALL, Tries


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_address_gets_a_burst_and_then_a_few() -> None:
    clock = Clock()
    counted = Tries(clock)
    assert [counted.take("192.0.2.1") for _ in range(int(ADDRESS.burst) + 1)] == [True] * int(ADDRESS.burst) + [False]
    assert counted.take("192.0.2.2")
    clock.now += 1 / ADDRESS.a_second
    assert counted.take("192.0.2.1")
    assert not counted.take("192.0.2.1")


def test_a_login_that_succeeds_is_no_try() -> None:
    counted = Tries(Clock())
    for _ in range(1000):
        assert counted.take("192.0.2.1")
        counted.give_back("192.0.2.1")


def test_all_addresses_together_have_a_bound() -> None:
    counted = Tries(Clock())
    assert sum(counted.take(f"192.0.2.{n}") for n in range(250)) == ALL.burst


def test_an_ipv6_network_is_one_address() -> None:
    counted = Tries(Clock())
    assert sum(counted.take(f"2001:db8::{n:x}") for n in range(30)) == ADDRESS.burst
    assert counted.take("2001:db8:0:1::1")


def test_text_that_is_no_address_is_one_address() -> None:
    counted = Tries(Clock())
    assert sum(counted.take(f"<{n}>") for n in range(30)) == ADDRESS.burst


def test_the_table_is_bounded() -> None:
    clock = Clock()
    counted = Tries(clock)
    for n in range(tries.MOST + 100):
        clock.now += 1
        counted.take(f"10.0.{n >> 8}.{n & 255}")
    assert len(counted._used) == tries.MOST
