"""Debian 12 becomes Debian 13 while accounts are at work, on a machine of its own, which is thrown away."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import build
from testbed.guest import Guest
from testbed.progress import Progress
from testbed.recipe import FEW

from tests.machine.at_work import APT, SEEN, TREE, WATCH, accounts
from tests.machine.mirrored import REPOSITORY, download

pytestmark = pytest.mark.long

# Hours in emulation on a machine that is busy.
PATIENCE = 4 * 3600

UPGRADE = f"""
{REPOSITORY}
{WATCH}
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
repository /srv/mirror trixie >/run/apt 2>&1
{APT} -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold dist-upgrade >>/run/apt 2>&1 ||
    {{ tail -n 50 /run/apt; exit 1; }}
{SEEN}
"""

AFTERWARDS = f"""
cat /etc/debian_version
dpkg-query --show --showformat='${{Version}}\\n' paas-isolate
systemctl is-active paas-isolate-daemon.service
paas-isolate reconcile --wait 60 --quiet
su -l at001 -c 'cat /proc/self/cgroup'
cat {TREE}/users/at001/memory.max
"""


@pytest.fixture
def old() -> Iterator[Guest]:
    guest = Guest.start("upgraded", release="bookworm", variant=FEW)
    try:
        yield guest
    finally:
        guest.throw_away()


def test_no_process_ends_and_no_limit_is_wider(old: Guest) -> None:
    download(old, "/srv/mirror", "dist-upgrade", "python3-cronsim", release="trixie")
    with tempfile.TemporaryDirectory() as place:
        for package in build.build("trixie", "amd64", Path(place), progress=Progress()):
            old.push(package, f"/srv/mirror/{package.name}")
    with accounts(old, 5):
        seen = old.run(script=UPGRADE, timeout=PATIENCE, check=True).out
        assert "a limit has changed" not in seen
        assert "a process has ended" not in seen
        after = old.run(script=AFTERWARDS, timeout=PATIENCE, check=True).out.splitlines()
        assert (after[0].split(".")[0], after[1][-6:]) == ("13", "+deb13")
        assert after[2:] == ["active", f"0::{TREE.removeprefix('/sys/fs/cgroup')}/users/at001/login", str(64 << 20)]
