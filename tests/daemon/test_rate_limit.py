"""Token buckets: a burst, and a rate per second."""

from paas_isolate.daemon.rate_limit import Rate


def test_a_burst_and_then_the_pace() -> None:
    purse = Rate(burst=3, a_second=0.5).begin()
    assert [purse.take(1000.0) for _ in range(5)] == [True, True, True, False, False]
    assert [purse.take(1000.0 + second) for second in range(1, 9)] == [False, True] * 4
    assert [purse.take(2000.0) for _ in range(4)] == [True, True, True, False]


def test_each_uid_has_a_bucket_and_idle_ones_are_dropped() -> None:
    purses = Rate(burst=1, a_second=1).each()
    assert all(purses.take(uid, 100.0) for uid in range(1500))
    assert not purses.take(7, 100.0)
    assert purses.take(5000, 200.0)
    assert len(purses._of) == 1
