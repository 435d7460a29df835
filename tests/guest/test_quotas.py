"""Quotas of ext4 file systems that are made for the test, on devices of their own."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from guest_machine import run
from guest_paas import Paas
from guest_people import Customer, Specs

from paas_isolate.errors import HostError
from paas_isolate.linux.quotas import DiskQuotas
from paas_isolate.model.quota import Quota
from paas_isolate.sample import disk_use


def mounted(place: Path, options: str, *features: str) -> Path:
    image, home = place / "image", place / "home"
    image.write_bytes(b"")
    os.truncate(image, 64 << 20)
    run("mkfs.ext4", "-q", *features, str(image))
    home.mkdir()
    run("mount", "-o", f"loop,{options}", str(image), str(home))
    home.chmod(0o777)
    for path in (place, *list(place.parents)[:2]):
        path.chmod(0o755)
    return home


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    place = mounted(tmp_path, "usrquota", "-O", "quota")
    yield place
    run("umount", "-l", str(place))


@pytest.fixture
def without(tmp_path: Path) -> Iterator[Path]:
    place = mounted(tmp_path, "defaults")
    yield place
    run("umount", "-l", str(place))


@pytest.fixture
def lives(spec: Specs, sell: Callable[..., Customer]) -> Iterator[Callable[..., Customer]]:
    """`lives(place, disk={...})`: alice, whose home lies there, is sold some of it."""
    moved: list[Customer] = []

    def move(place: Path, **body: object) -> Customer:
        alice = sell("alice", **body)
        run("usermod", "--home", str(place), "alice")
        moved.append(alice)
        return alice

    yield move
    for alice in moved:
        run("usermod", "--home", str(alice.home), "alice")


def writes(customer: Customer, place: Path, megabytes: int, name: str = "file") -> int:
    """The exit status."""
    drop = ("setpriv", "--reuid", str(customer.uid), "--regid", str(customer.gid), "--clear-groups")
    line = (*drop, "dd", "if=/dev/zero", f"of={place}/{name}", "bs=1M", f"count={megabytes}")
    return subprocess.run(line, capture_output=True).returncode


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
    assert [writes(alice, home, 0, str(n)) for n in range(20)][-2:] == [0, 1]
    quotas.set(str(home), alice.uid, Quota())
    assert writes(alice, home, 6) == 0


def test_a_file_system_without_says_how(without: Path) -> None:
    with pytest.raises(HostError, match=r"(?s)lies on ext4 at .*keeps no limits of users.*tune2fs -O quota /dev/"):
        DiskQuotas().usage(str(without), 1000)


def test_it_is_reconciled_like_a_knob(home: Path, lives: Callable[..., Customer], paas: Paas) -> None:
    alice = lives(home, disk={"max": "10M", "files": 100})
    told = paas("reconcile").out
    assert f"set the quota of uid {alice.uid} of alice to 10240 blocks of 1K, 100 files" in told
    assert paas("reconcile").out == "nothing to do\n"
    DiskQuotas().set(str(home), alice.uid, Quota())
    assert "(was any space, any files)" in paas("diff").out
    paas("reconcile")
    assert writes(alice, home, 2) == 0
    assert "disk of alice: 2M of 10M, 1 of 100 files" in paas("status", "alice").out
    lives(home, disk={"max": "unlimited", "files": 100})
    paas("reconcile")
    assert DiskQuotas().usage(str(home), alice.uid).allowed == Quota(0, 100)


def test_where_there_are_none_it_is_an_error_by_name(without: Path, lives: Callable[..., Customer], paas: Paas) -> None:
    lives(without, disk={"max": "10M"})
    told = paas("reconcile", code=1).err
    assert "disk of users/alice cannot be kept" in told
    assert "tune2fs -O quota" in told
