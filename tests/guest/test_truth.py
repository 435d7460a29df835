"""What the ledger says is what programs say of themselves, with the daemon at work and all controllers.

CPU time across kills and short processes: tests/kernel/metering/test_truth.py.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.guest.machine import DAEMON, daemon, figures, knob, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Sell, Specs
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long
"""They take minutes, and tests/kernel has the same arithmetic in seconds."""

MB = 1 << 20
WEB = "users/alice/web"


@pytest.fixture
def alice(spec: Specs, sell: Sell, paas: Paas) -> Iterator[Customer]:
    spec.config(metering={"every": "1s"})
    customer = sell("alice", services={"web": {}})
    with daemon(accounts=1):
        wait_for(lambda: paas("usage", "alice", code=None).code == 0, what="alice is measured", deadline=60)
        yield customer


def used(paas: Paas) -> dict[str, dict[str, Any]]:
    """What the ledger has until now, by leaf: a daemon that ends writes all."""
    systemctl("restart", DAEMON)
    return {row["leaf"]: row for row in paas("usage", "alice", "--by", "leaf", "--json").json["rows"]}


def test_a_minute_of_cpu_time(alice: Customer, paas: Paas) -> None:
    said, _ = alice.burns_for(60, WEB).communicate(timeout=200)
    rows = used(paas)
    assert rows["web"]["cpu_seconds"] == pytest.approx(float(said), rel=0.01)
    assert rows[""]["cpu_seconds"] == pytest.approx(sum(rows[leaf]["cpu_seconds"] for leaf in rows if leaf), abs=0.01)


def test_bytes_written_past_the_cache(alice: Customer, paas: Paas) -> None:
    words = ("dd", "if=/dev/zero", "of=file", "bs=1M", "count=100", "oflag=direct", "conv=fsync")
    assert alice.runs(*words, leaf=WEB).wait(120) == 0
    rows = used(paas)
    assert rows["web"]["written"] == pytest.approx(100 * MB, rel=0.01)
    assert rows[""]["written"] == pytest.approx(100 * MB, rel=0.01)


def test_memory_that_is_held_for_a_minute_by_one_who_sleeps(alice: Customer, paas: Paas) -> None:
    alice.holds(512, WEB)
    time.sleep(75)  # who sleeps is read once in 60 samples, and memory.stat of a leaf seldom
    begin, before = time.monotonic(), used(paas)["web"]
    time.sleep(60)
    held = int(knob(WEB, "memory.current"))
    end, after = time.monotonic(), used(paas)["web"]
    hours = (after["measured_seconds"] - before["measured_seconds"]) / 3600
    assert hours * 3600 == pytest.approx(end - begin, abs=10)  # a restart takes seconds in emulation
    more = after["memory_gb_hours"] - before["memory_gb_hours"]
    assert more == pytest.approx(held / (1 << 30) * hours, rel=0.01)
    assert held == pytest.approx(512 * MB, rel=0.05)
    own = after["own_memory_gb_hours"] - before["own_memory_gb_hours"]
    assert own == pytest.approx(figures(WEB, "memory.stat")["anon"] / (1 << 30) * hours, rel=0.02)
