"""Which disk a path lies on, on this machine: what needs no disk of one's own."""

import os

import pytest

from paas_isolate.errors import HostError
from paas_isolate.linux.disks import Disks, device_of, disk_of

pytestmark = pytest.mark.kernel


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
    disks = Disks()
    with pytest.raises(HostError, match="lies on tmpfs"):
        disks.device_of("/dev/shm")
    try:
        device = device_of("/")
    except HostError:
        pytest.skip("the root of this machine lies on no disk of its own")
    assert [disks.device_of(path) for path in ("/", "/", "/nobody/was/ever/here")] == [device] * 3
