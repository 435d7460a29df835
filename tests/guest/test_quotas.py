"""Quotas, on file systems that are made for the test."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from paas_isolate.errors import HostError
from paas_isolate.linux.quota.calls import DiskQuotas
from paas_isolate.model.quota import Quota
from paas_isolate.usage import disk_use
from tests.support.guest.machine import daemon
from tests.support.guest.paas import INSTALLED, Paas
from tests.support.guest.people import Customer, Specs
from tests.support.guest.quotas import file_system, living_at, writes

WAYS = {"ext4": "tune2fs -O quota /dev/", "xfs": "the option usrquota in /etc/fstab, then umount /"}


@pytest.fixture(params=["ext4", "xfs"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with file_system(tmp_path, request.param) as place:
        yield place


@pytest.fixture
def lives(spec: Specs, sell: Callable[..., Customer]) -> Iterator[Callable[..., Customer]]:
    """`lives(place, disk={...})`: alice, whose home lies there, is sold some of it."""
    with ExitStack() as moved:

        def move(place: Path, **body: object) -> Customer:
            alice = sell("alice", **body)
            moved.enter_context(living_at(place, alice))
            return alice

        yield move


def test_what_is_set_is_kept_and_told(home: Path, customer: Callable[[str], Customer]) -> None:
    alice, quotas = customer("alice"), DiskQuotas()
    assert quotas.usage(str(home), alice.uid).allowed == Quota()
    quotas.set(str(home), alice.uid, Quota(4096, 20))
    assert writes(alice, home, 3) == 0
    assert writes(alice, home, 6) != 0
    usage = quotas.usage(str(home / "not/there/yet"), alice.uid)
    assert usage.allowed == Quota(4096, 20)
    assert 3 << 20 <= usage.space <= 4 << 20
    assert disk_use(usage).endswith("of 4M, 1 of 20 files")
    (home / "file").unlink()  # XFS makes no file where no block is left
    assert [writes(alice, home, 0, str(n)) for n in range(21)][-2:] == [0, 1]
    quotas.set(str(home), alice.uid, Quota())
    assert writes(alice, home, 6) == 0


@pytest.mark.parametrize("kind", WAYS)
def test_where_there_are_none_it_says_how(tmp_path: Path, kind: str) -> None:
    said = rf"(?s)lies on {kind} at .*keeps no limits of users.*{WAYS[kind]}"
    with file_system(tmp_path, kind, options="defaults") as home, pytest.raises(HostError, match=said):
        DiskQuotas().usage(str(home), 1000)


def test_it_is_reconciled_like_a_knob(home: Path, lives: Callable[..., Customer], paas: Paas) -> None:
    alice = lives(home, disk={"max": "10001K", "files": 100})
    told = paas("reconcile").out
    blocks = DiskQuotas().usage(str(home), alice.uid).allowed.blocks
    assert 10001 <= blocks < 10001 + os.statvfs(home).f_frsize // 1024
    assert f"set the quota of uid {alice.uid} of alice to {blocks} blocks of 1K, 100 files" in told
    assert paas("reconcile").out == "nothing to do\n"
    DiskQuotas().set(str(home), alice.uid, Quota())
    assert "(was any space, any files)" in paas("diff").out
    lives(home, disk={"max": "10M", "files": 100})
    paas("reconcile")
    assert writes(alice, home, 2) == 0
    assert "disk of alice: 2M of 10M, 1 of 100 files" in paas("status", "alice").out
    lives(home, disk={"max": "unlimited", "files": 100})
    paas("reconcile")
    assert DiskQuotas().usage(str(home), alice.uid).allowed == Quota(0, 100)


def test_where_there_are_none_it_is_an_error_by_name(
    tmp_path: Path, lives: Callable[..., Customer], paas: Paas
) -> None:
    with file_system(tmp_path, options="defaults") as home:
        lives(home, disk={"max": "10M"})
        told = paas("reconcile", code=1).err
        assert "disk of users/alice cannot be kept" in told
        assert "tune2fs -O quota" in told


def test_customers_are_told_what_they_use_of_it(tmp_path: Path, lives: Callable[..., Customer]) -> None:
    def told() -> str:
        return alice.runs(INSTALLED, "me", leaf="users/alice/other").communicate(timeout=60)[0]

    with file_system(tmp_path) as home:
        alice = lives(home, disk={"max": "10M"}, users=("alice", "al"))
        with daemon(accounts=1):
            writes(alice, home, 2)
            assert "disk of alice: 2M of 10M, 1 of unlimited files\n" in (words := told())
            assert "the disk quota is for each user: all 2 together may use 2 times as much" in words
        assert "disk of alice: 2M of 10M, 1 of unlimited files\n" in (words := told())
        assert "the daemon does not answer" in words
