"""What `status` shows of a cgroup."""

from typing import cast

import pytest

from paas_isolate.cli.status import RIGHT, TITLES, row
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.quota.devices import counted_device
from paas_isolate.usage import CgroupStatus, usage

STACKED = (
    "252:0 rbytes=1048576 wbytes=2097152 rios=1 wios=2 dbytes=0 dios=0\n"
    "253:1 rbytes=1048576 wbytes=2097152 rios=1 wios=2 dbytes=0 dios=0\n"
)


class Texts:
    """A cgroup whose files have these texts."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def read(self, _: str, name: str) -> str | None:
        return self.texts.get(name)


def cgroup(**texts: str) -> CgroupTree:
    return cast(CgroupTree, Texts({name.replace("_", "."): text for name, text in texts.items()}))


@pytest.mark.parametrize(("device", "expected"), [("253:1", (1 << 20, 2 << 20)), ("8:0", (0, 0)), ("", (None, None))])
def test_bytes_are_those_of_the_disk_of_the_home(device: str, expected: object) -> None:
    """beats 19766: LVM and the disk below it count the same bytes."""
    use = usage(cgroup(io_stat=STACKED), "users/alice", device)
    assert (use.read, use.written) == expected


def test_what_is_not_counted_is_no_zero() -> None:
    use = usage(cgroup(cpu_stat="usage_usec 5\n"), "users/alice", "253:1")
    cells = dict(zip(TITLES, row(CgroupStatus("alice", "users/alice", "ok", {}, use)), strict=True))
    assert [cells[title] for title in RIGHT] == ["-", "-", "0.0s", "-", "-"]


def test_a_group_that_is_killed_counts_each_process_once() -> None:
    events = "low 0\nhigh 0\nmax 9\noom 1\noom_kill 4\noom_group_kill 1\n"
    assert usage(cgroup(memory_events=events), "users/alice", "").killed == 3


def test_a_home_without_a_disk_has_no_device() -> None:
    def none(path: str) -> str:
        raise HostError(f"{path} lies on tmpfs")

    assert counted_device("/home/alice", none) == counted_device("", str) == ""
    assert counted_device("/home/alice", lambda _: "8:0") == "8:0"


def test_without_a_limit_there_is_no_percentage_of_it() -> None:
    """netdata 12433."""
    knobs = {"memory.max": "max", "pids.max": "max", "cpu.max": "max 100000"}
    use = usage(cgroup(memory_current="4096\n", pids_current="3\n", cpu_stat="usage_usec 5\n"), "users/alice", "")
    cells = row(CgroupStatus("alice", "users/alice", "ok", knobs, use))
    assert [cell for title, cell in zip(TITLES, cells, strict=True) if title == "OF"] == ["unlimited"] * 3
    assert not any("%" in cell for cell in cells)
