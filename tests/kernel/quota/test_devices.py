"""Which disk a path lies on, on this machine: the cases that need no disk of the test's own."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.errors import HostError
from paas_isolate.linux.quota.devices import BlockDevices, disk_of

pytestmark = pytest.mark.kernel


def device_of(path: str) -> str:
    return BlockDevices().device_of(path)


@pytest.fixture
def homes() -> Iterator[Path]:
    """Where only root writes, all the way down."""
    with tempfile.TemporaryDirectory(dir="/opt") as place:
        os.chmod(place, 0o755)
        yield Path(place)


def test_a_file_system_in_memory_has_no_disk() -> None:
    with pytest.raises(HostError, match="lies on tmpfs at /dev/shm"):
        device_of("/dev/shm/nobody/was/ever/here")


def test_the_disk_of_the_root_is_a_whole_one() -> None:
    try:
        device = device_of("/")
    except HostError:
        pytest.skip("the root of this machine lies on no disk of its own")
    assert os.path.isdir(f"/sys/dev/block/{device}")
    assert not os.path.exists(f"/sys/dev/block/{device}/partition")


def test_what_is_no_block_device() -> None:
    assert disk_of("0:0") == ""


def test_a_second_look_at_the_same_device_says_the_same() -> None:
    disks = BlockDevices()
    with pytest.raises(HostError, match="lies on tmpfs"):
        disks.device_of("/dev/shm")
    try:
        device = device_of("/")
    except HostError:
        pytest.skip("the root of this machine lies on no disk of its own")
    assert [disks.device_of(path) for path in ("/", "/", "/nobody/was/ever/here", "", "//")] == [device] * 5


def test_a_link_of_roots_is_followed(homes: Path) -> None:
    (homes / "far").symlink_to("/dev/shm")
    (homes / "near").symlink_to(f"/{homes}/far/alice")
    with pytest.raises(HostError, match=r"near lies on tmpfs at /dev/shm"):
        device_of(f"{homes}/near")
    with pytest.raises(HostError, match=r"x lies on tmpfs at /dev/shm"):
        device_of(f"{homes}/near/x")


def test_links_that_lead_nowhere_are_no_disk(homes: Path) -> None:
    (homes / "a").symlink_to("b")
    (homes / "b").symlink_to("a")
    with pytest.raises(HostError, match="too many links"):
        device_of(f"{homes}/a")


@pytest.mark.hostile
def test_a_link_of_a_customers_chooses_no_disk(homes: Path) -> None:
    """`io.of: ~/data`, and the customer lays a link to where nothing is limited."""
    home = homes / "alice"
    home.mkdir()
    os.chown(home, 48_201, 48_201)
    (home / "data").symlink_to("/dev/shm")
    try:
        device = device_of(f"{homes}")
    except HostError:
        pytest.skip("the root of this machine lies on no disk of its own")
    assert device_of(f"{home}/data") == device
