"""A daemon with one account."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernel.host import Shop
from tests.support.kernel.running_daemon import ALICE, PLAIN, Resident, frozen
from tests.support.waiting import wait_for


@pytest.fixture
def resident(shop: Shop, tmp_path: Path) -> Iterator[Resident]:
    shop.account("alice", PLAIN)
    begun = Resident(shop, tmp_path / "log")
    try:
        begun.says("create users/alice")
        wait_for(lambda: frozen(shop, f"{ALICE}/other") is False, what="the first turn is at work")
        wait_for(begun.rests, what="it is done, and that which follows when uids are heard")
        yield begun
    finally:
        begun.process.kill()
        begun.process.wait()
