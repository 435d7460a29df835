"""The text of the kernel's files as counters. Linux 6.12 and 6.18 printed it, where nothing else is said."""

import pytest

from paas_isolate.metering.reading import Counters, Levels, io_of, keyed, number, parse, pressure

CPU_6_12 = b"""usage_usec 3004561
user_usec 2500000
system_usec 504561
nice_usec 0
core_sched.force_idle_usec 0
nr_periods 31
nr_throttled 12
throttled_usec 804000
nr_bursts 0
burst_usec 0
"""
CPU_6_18_WITHOUT_CONTROLLER = b"usage_usec 12\nuser_usec 7\nsystem_usec 5\nnice_usec 0\n"
MEMORY_STAT = b"anon 4096\nfile 1048576\nkernel 8192\nshmem 8192\n"
PRESSURE = b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1200\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=800\n"


def test_all_files_of_a_cgroup() -> None:
    texts = {
        "cpu.stat": CPU_6_12,
        "memory.current": b"1060864\n",
        "memory.swap.current": b"0\n",
        "pids.current": b"3\n",
        "io.stat": b"252:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n",
        "memory.peak": b"2000000\n",
        "memory.stat": MEMORY_STAT,
        "cpu.pressure": PRESSURE,
        "cgroup.stat.local": b"frozen_usec 77\n",
        "memory.events.local": b"low 0\nhigh 4\nmax 9\noom 1\noom_kill 3\noom_group_kill 1\n",
        "pids.events.local": b"max 5\n",
    }
    counters, levels = parse(texts, "252:0")
    assert counters == Counters(
        user=2500000,
        system=504561,
        throttled=804000,
        read=4096,
        written=8192,
        read_ops=1,
        write_ops=2,
        frozen=77,
        cpu_some=1200,
        cpu_full=800,
        killed=2,
        slowed=4,
        refused=5,
    )
    assert levels == Levels(memory=1060864, swap=0, pids=3, peak=2000000, own=12288)


def test_what_the_kernel_does_not_have_is_unknown_and_not_zero() -> None:
    counters, levels = parse({"cpu.stat": CPU_6_18_WITHOUT_CONTROLLER}, "")
    assert counters == Counters(user=7, system=5)
    assert levels == Levels()


def test_an_older_kernel_says_whether_a_cgroup_is_in_the_freezer() -> None:
    texts = {"cpu.stat": CPU_6_12, "cgroup.events": b"populated 1\nfrozen 1\n"}
    counters, levels = parse(texts, "")
    assert (counters.frozen, levels.in_freezer) == (None, 1)


def test_cache_is_not_memory_of_the_customer_s_own() -> None:
    """cadvisor 2604: a customer who reads a large file is told to use it all."""
    _, levels = parse({"memory.current": b"1060864\n", "memory.stat": MEMORY_STAT}, "")
    assert levels.memory == 1060864
    assert levels.own == 4096 + 8192


STACKED = (
    b"252:0 rbytes=1000 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"
    b"253:1 rbytes=1000 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"
)


def test_one_device_counts_and_not_those_below_it() -> None:
    """beats 19766: LVM and the disk below it count the same bytes."""
    assert io_of(STACKED, "253:1") == (1000, 0, 1, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", (0, 0, 0, 0)),
        (b"252:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n", (0, 0, 0, 0)),
        (b"253:1 \n252:0 rbytes=1 wbytes=2 rios=3 wios=4\n", (None, None, None, None)),
        (b"252:0 253:1 rbytes=1 wbytes=2 rios=3 wios=4\n", (1, 2, 3, 4)),
        (b"253:1 rbytes=1 wbytes=2 rio", (1, 2, None, None)),
        (b"253:1 rbytes=1 wbytes=x rios=3 wios=-4\n", (1, None, 3, None)),
        (None, (None, None, None, None)),
    ],
)
def test_a_torn_row_costs_what_is_torn(text: bytes | None, expected: object) -> None:
    """green-metrics-tool 1837: one torn row was taken for a value, or ended the sample."""
    assert io_of(text, "253:1") == expected


def test_an_odd_row_costs_itself_and_no_other_file() -> None:
    """lxd 18609: a line of io.stat without values, and all figures were missing."""
    texts = {"cpu.stat": CPU_6_12, "io.stat": b"253:1 \n252:0 rbytes=1\n", "pids.current": b"3\n"}
    counters, levels = parse(texts, "253:1")
    assert (counters.user, counters.read, levels.pids) == (2500000, None, 3)


def test_no_limit_is_no_number() -> None:
    """galaxy 6813: `max` was shown as 8 EB."""
    assert number(b"max\n") is None
    counters, levels = parse({"cpu.stat": CPU_6_12, "memory.current": b"max\n", "memory.peak": b"max\n"}, "")
    assert (levels.memory, levels.peak, counters.read) == (None, None, None)


def test_a_torn_line_costs_itself() -> None:
    assert keyed(b"usage_usec 12\nuser_usec\nsystem_usec 5\n") == {"usage_usec": 12, "system_usec": 5}
    assert number(b"max\n") is number(b"") is number(b"-1\n") is None
    assert pressure(b"some avg10=0.00 total=5\nfull avg10=0.0") == (5, None)
    assert pressure(None) == (None, None)
