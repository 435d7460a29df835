"""Accounts as plain files below a directory, as the kernel would show them, and `top` on them in a program of its own.

`python -m tests.support.live_tree DIRECTORY WORDS...` runs `paas-isolate WORDS...` as root would on these accounts.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from paas_isolate.cli import main
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.location import TreeLocation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.account import Fleet, Host

MB = 1 << 20


def cgroup(
    path: Path, *, cpu: int = 0, memory: int = 0, pids: int = 0, limits: dict[str, str] | None = None, killed: int = 0
) -> None:
    """Write the files of a cgroup: `cpu` in microseconds, `memory` in MB. A quarter of the memory is cache."""
    path.mkdir(parents=True, exist_ok=True)
    size = memory * MB
    texts = {
        "cpu.stat": f"usage_usec {cpu}\nuser_usec {cpu}\nsystem_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0",
        "memory.current": str(size),
        "memory.stat": f"anon {size * 3 // 4}\nfile {size // 4}\nshmem 0",
        "memory.events": f"low 0\nhigh 0\nmax 0\noom 0\noom_kill {killed}",
        "pids.current": str(pids),
        "pids.events": "max 0",
        "cpu.pressure": f"some avg10=0.00 avg60=0.00 avg300=0.00 total={cpu // 10}",
        "cgroup.procs": "",
        **({"cpu.max": "max 100000", "memory.max": "max", "memory.high": "max", "pids.max": "max"} | (limits or {})),
    }
    for name, text in texts.items():
        (path / name).write_text(text + "\n")


@contextmanager
def machine(place: Path) -> Iterator[None]:
    """This process is root on a machine whose tree is `place`, with an account in every directory of `users`."""

    @contextmanager
    def tree(self: Installation, fleet: Fleet) -> Iterator[tuple[CgroupTree, TreeLocation]]:
        with CgroupTree(str(place), str(place)) as cgroups:
            yield cgroups, TreeLocation(str(place), str(place), "")

    with (
        mock.patch.object(Installation, "tree", tree),
        mock.patch.object(Installation, "fleet", lambda self: Fleet(Host(), {})),
        mock.patch.object(os, "geteuid", lambda: 0),
    ):
        yield


if __name__ == "__main__":
    here = Path(sys.argv.pop(1))
    with machine(here):
        sys.argv[1:1] = ["--etc", str(here), "--state", str(here), "--run", str(here)]
        main.main()
