"""A daemon, and the directory of its control socket, which customers can reach."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.control import ALICE, Guests
from tests.support.kernel.host import NO_LIMIT, Shop
from tests.support.kernel.running_daemon import Resident
from tests.support.waiting import wait_for


@pytest.fixture
def shop(tmp_path: Path, cgroups: CgroupTree) -> Shop:
    place = tmp_path / "shop"
    place.mkdir()
    return Shop(place, cgroups, ALICE)


@pytest.fixture
def run(shop: Shop) -> Iterator[Path]:
    """Where customers may go: pytest's own directories are closed."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        (shop.place / "run").rmdir()
        (shop.place / "run").symlink_to(place)
        yield Path(place)


@pytest.fixture
def resident(shop: Shop, run: Path, tmp_path: Path) -> Iterator[Resident]:
    """alice and bob have accounts; carol is exempt."""
    shop.configure(", exempt: [carol]")
    shop.account("alice", f"{NO_LIMIT}\nservices: {{web: {{{NO_LIMIT}}}}}\n")
    shop.account("bob", NO_LIMIT)
    shop.account("carol", NO_LIMIT)
    begun = Resident(shop, tmp_path / "log")
    try:
        wait_for(lambda: (run / "control.sock").exists(), what="there is a socket")
        wait_for(lambda: "alice/web" in shop.tree(), what="the first turn is done")
        yield begun
    finally:
        begun.process.kill()
        begun.process.wait()
        sys.stdout.write(begun.log.read_text())  # pytest shows it where something went wrong


@pytest.fixture
def guests(resident: Resident, shop: Shop) -> Guests:
    return Guests(shop)
