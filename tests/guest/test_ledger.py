"""What accounts used is kept through a full disk, a damaged file and a daemon that is killed under load."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.guest.machine import DAEMON, STATE, daemon, figures, knob, run, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Sell, Specs
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long
"""They take minutes: the ledger is written once a minute."""

LEDGER = STATE / "ledger/ledger.db"
FILLER = STATE / "filler"


@pytest.fixture
def small_disk(machine: Path) -> Iterator[None]:
    """What the product remembers is on a disk of its own, of 4 MB."""
    run("mount", "-t", "tmpfs", "-o", "size=4M,mode=0755", "tmpfs", str(STATE))
    yield
    run("umount", str(STATE))


@pytest.fixture
def busy(spec: Specs, sell: Sell) -> Iterator[Customer]:
    """alice, who takes what CPU time she gets, is sampled every second."""
    spec.config(metering={"every": "1s"})
    alice = sell("alice", limits={"cpu": "30%", "pids": 40}, services={"web": {}})
    with daemon(accounts=1):
        wait_for(lambda: seconds(Paas()) is not None, what="alice is measured", deadline=90)
        alice.burns("users/alice/web")
        yield alice


def seconds(paas: Paas) -> float | None:
    """Of CPU time, as the ledger has them."""
    answer = paas("usage", "alice", "--json", code=None)
    rows = answer.json["rows"] if answer.code == 0 else []
    return float(rows[0]["cpu_seconds"] or 0) if rows else None


def used() -> float:
    """By the kernel."""
    return figures("users/alice", "cpu.stat")["usage_usec"] / 1e6


def agree(paas: Paas) -> bool:
    """Whether the ledger, which is written once a minute, has all but 2 s of what the kernel had when it was asked."""
    before, told = used(), seconds(paas)
    return told is not None and before - 2 <= told <= used()


def warned(text: str) -> bool:
    words = ("journalctl", "--unit", DAEMON, "--output=cat", "--grep", text, "--lines=1", "--quiet", "--since=-10min")
    return subprocess.run(words, capture_output=True).returncode == 0


def fill() -> None:
    with FILLER.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_full_disk_costs_no_limit_and_no_second(small_disk: None, busy: Customer, sell: Sell, paas: Paas) -> None:
    fill()
    sell("alice", limits={"cpu": "30%", "pids": 41}, services={"web": {}})
    wait_for(lambda: knob("users/alice", "pids.max") == "41", what="limits are set on a full disk too")
    text = "what accounts use is measured, but not written until this ends"
    wait_for(lambda: warned(text), what="the journal says so", deadline=90)
    FILLER.unlink()
    wait_for(lambda: agree(paas), what="the ledger has caught up", deadline=90)


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(busy: Customer, paas: Paas) -> None:
    wait_for(lambda: agree(paas), what="there is something in the ledger", deadline=90)
    systemctl("stop", DAEMON)  # one at work has the pages in memory, and would not look at the file
    with LEDGER.open("r+b") as file:
        file.write(b"damage" * 4096)
    systemctl("start", DAEMON)
    aside = LEDGER.with_name("ledger.db.damaged-1")
    wait_for(aside.exists, what="it is set aside", deadline=90)
    assert warned("is set aside as ledger.db.damaged-1, and a new ledger is begun")
    wait_for(lambda: (seconds(paas) or 0) > 1, what="the new one is written", deadline=90)


def test_a_daemon_that_is_killed_under_load_loses_nothing(busy: Customer, paas: Paas) -> None:
    for _ in range(5):
        systemctl("kill", "--signal=KILL", DAEMON)
        wait_for(lambda: systemctl("is-active", DAEMON) == "active", what="it is back", deadline=60)
    systemctl("restart", DAEMON)  # what ends in order writes before
    wait_for(lambda: agree(paas), what="the ledger has it all", deadline=90)
