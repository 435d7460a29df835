"""Mounts as the kernel walks through them, from true lines of /proc/self/mountinfo (6.18, 6.12)."""

import pytest

from paas_isolate.linux.quota.devices import is_customers, is_diskless
from paas_isolate.linux.system.mounts import MountTable, parse

MOUNTED = """\
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,size=12334460k,nr_inodes=3083615,mode=755
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684084k
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 25 0:27 / /dev/shm rw,relatime - tmpfs above rw,size=24684084k
40 27 254:16 / /srv rw,relatime shared:9 - ext4 /dev/vdb rw
41 27 254:16 /bob /home/bob rw,relatime shared:9 - ext4 /dev/vdb rw
42 27 254:32 / /home/carol/old rw - xfs /dev/vdc rw
43 27 254:48 / /home/carol rw - xfs /dev/vdd rw
44 27 0:51 / /home/alice rw,nosuid,nodev,relatime - fuse.sshfs /dev/vdb rw,user_id=1001,group_id=1001,allow_other
45 27 0:52 /@ /data rw,relatime - btrfs /dev/vde rw,subvolid=256,subvol=/@
46 27 0:53 / /far rw,relatime - nfs4 10.0.0.1:/far rw,vers=4.2
47 27 0:54 / /auto rw,relatime - autofs /etc/auto.home rw,fd=6,pgrp=1
"""


@pytest.fixture
def table() -> MountTable:
    return MountTable(map(parse, MOUNTED.splitlines()))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("/", "/dev/vda"),
        ("/home", "/dev/vda"),
        ("/home/bob", "/dev/vdb"),
        ("/home/bob/any/where", "/dev/vdb"),
        ("/home/bobby", "/dev/vda"),
        ("/srv", "/dev/vdb"),
        ("/dev/shm/x", "above"),
        ("/home/alice", "/dev/vdb"),
        ("/home/carol/old/x", "/dev/vdd"),
    ],
)
def test_the_mount_that_a_path_lies_on(table: MountTable, path: str, source: str) -> None:
    assert table.of(path).source == source


def test_a_file_system_is_opened_where_it_is_seen_nearest_to_the_root(table: MountTable) -> None:
    assert [table.point(device) for device in ("254:16", "254:0", "254:32", "9:9")] == ["/srv", "/", "", ""]


@pytest.mark.parametrize(
    ("path", "diskless"),
    [("/home/alice", True), ("/far/x", True), ("/auto/x", True), ("/dev/shm", True), ("/data/x", False), ("/", False)],
)
def test_who_names_a_disk_has_none_by_that(table: MountTable, path: str, diskless: bool) -> None:
    assert is_diskless(table.of(path)) is diskless


def test_only_what_a_customers_program_answers_for_is_a_customers(table: MountTable) -> None:
    paths = ("/home/alice", "/far", "/home/bob", "/auto")
    assert [path for path in paths if is_customers(table.of(path))] == ["/home/alice"]
    backup = parse("48 27 0:55 / /backup rw - fuse.sshfs far:/ rw,user_id=0,group_id=0")
    assert not is_customers(backup)
