"""Accounts as they are now, on plain files; the times between readings are made up."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.live import accounts as live
from paas_isolate.live.accounts import LiveAccounts
from paas_isolate.live.rates import CgroupLimits, Row
from paas_isolate.metering.faults import Kind
from paas_isolate.metering.rates import Rates
from paas_isolate.model.account import Fleet, Host
from tests.support.ledger import WALL, Metered, fault, web
from tests.support.live_tree import MB, cgroup

LIMITS = {"cpu.max": "50000 100000", "memory.max": str(64 * MB), "pids.max": "max"}


class Clock:
    """Milliseconds, two seconds later each time."""

    now = 0

    def __call__(self) -> int:
        self.now += 2000
        return self.now


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(live, "boottime", Clock())
    monkeypatch.setattr("time.time_ns", lambda: WALL * 1_000_000)
    for name in ("alice", "bob"):
        cgroup(tmp_path / "users" / name, cpu=1000, memory=16, pids=2, limits=LIMITS)
        cgroup(tmp_path / "users" / name / "web", cpu=1000, memory=16, pids=2)
    (tmp_path / "users/alice/web/cgroup.procs").write_text("7\n12\n")
    return tmp_path


@pytest.fixture
def accounts(place: Path) -> Iterator[LiveAccounts]:
    with CgroupTree(str(place), str(place)) as cgroups:
        found = LiveAccounts(Fleet(Host(), {}), cgroups, str(place / "ledger"))
        yield found
        found.close()


def by_name(accounts: LiveAccounts) -> dict[str, Row]:
    return {row.name: row for row in accounts.read()}


def test_rates_come_with_the_second_reading(accounts: LiveAccounts, place: Path) -> None:
    first = by_name(accounts)
    assert first.keys() == {"alice", "bob"}
    assert first["alice"].rates == Rates()
    assert first["alice"].levels.own == 12 * MB
    cgroup(place / "users/alice", cpu=501_000, memory=32, pids=3, killed=2, limits=LIMITS)
    rows = by_name(accounts)
    assert rows["alice"].rates.cpu == 0.25
    assert (rows["alice"].levels.memory, rows["alice"].faults) == (32 * MB, 2)
    assert (rows["bob"].rates.cpu, rows["bob"].levels.memory) == (0.0, 16 * MB)
    assert (accounts.number, accounts.active) == (2, 1)


def test_who_did_something_and_then_nothing_is_idle(accounts: LiveAccounts, place: Path) -> None:
    accounts.read()
    cgroup(place / "users/alice", cpu=501_000, memory=32)
    accounts.read()
    assert by_name(accounts)["alice"].rates.cpu == 0.0
    assert accounts.active == 0


def test_one_that_is_gone_has_no_row_and_one_made_anew_no_rates(accounts: LiveAccounts, place: Path) -> None:
    accounts.read()
    shutil.rmtree(place / "users/bob")
    (place / "users/alice").rename(place / "users/old")  # keeps the old inode from being used again
    cgroup(place / "users/alice", cpu=999_000, memory=1)
    assert not by_name(accounts)  # the sampler looks for new ones at its next turn
    rows = by_name(accounts)
    assert rows.keys() == {"alice", "old"}
    assert rows["alice"].rates == Rates()


def test_limits_are_those_of_this_moment(accounts: LiveAccounts, place: Path) -> None:
    rows = list(accounts.read())
    assert accounts.limited(rows)[0].limits == CgroupLimits(cpu=0.5, memory=64 * MB)
    (place / "users/alice/cpu.max").write_text("max 100000\n")
    assert by_name(accounts)["alice"].limits == CgroupLimits()
    assert {row.limits.cpu for row in accounts.limited(rows)} == {None, 0.5}


def test_an_account_has_its_leaves_and_their_processes(accounts: LiveAccounts, place: Path) -> None:
    accounts.read()
    accounts.enter("alice")
    cgroup(place / "users/alice/web", cpu=101_000, memory=16)
    (place / "users/alice/web/cgroup.procs").write_text("7\n12\n")
    own, leaf = accounts.enter("alice")
    assert (own.leaf, own.limits.cpu) == ("", 0.5)
    assert (leaf.leaf, leaf.rates.cpu, leaf.limits) == ("web", 0.05, CgroupLimits())
    assert accounts.pids([own, leaf]) == {"web": (7, 12)}
    assert accounts.enter("nobody") == []
    assert accounts.directory_of("alice") == "alice"
    assert accounts.directory_of("nobody") == accounts.directory_of("alice/web") == ""


def test_faults_of_the_last_hour_are_those_of_the_ledger(accounts: LiveAccounts, place: Path) -> None:
    metered = Metered(place)
    faults = (
        fault(Kind.KILLED, -3601, number=100),
        fault(Kind.KILLED, -3000, number=2),
        fault(Kind.REFUSED, -60, "alice/login", 3),
        fault(Kind.REFUSED, -30, "alice", 4),
        fault(Kind.THROTTLED, -60, number=1000),
        fault(Kind.KILLED, -10, "bob/web"),
    )
    metered.sampled(-1, web(1), faults=faults)
    metered.writer.close()
    cgroup(place / "users/alice/web", cpu=1000, memory=16, killed=50)  # before the last hour
    rows = by_name(accounts)
    assert accounts.from_ledger
    assert (rows["alice"].faults, rows["bob"].faults) == (9, 1)
    assert {row.path: row.faults for row in accounts.enter("alice")} == {"alice": 9, "alice/web": 2}


def test_a_ledger_that_is_not_written_any_more_tells_no_faults(accounts: LiveAccounts, place: Path) -> None:
    metered = Metered(place)
    metered.sampled(-600, web(1))
    metered.writer.close()
    assert by_name(accounts)["alice"].faults == 0
    assert not accounts.from_ledger
