"""What top reads, from the kernel's own files."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.live.accounts import LiveAccounts
from paas_isolate.live.processes import ProcessReader
from paas_isolate.model.account import Fleet, Host

pytestmark = pytest.mark.kernel


@contextmanager
def busy(cgroups: CgroupTree, path: str) -> Iterator[int]:
    """A process that burns a core in a cgroup; its pid."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as program:
        try:
            Path(f"{cgroups.root}/{path}/cgroup.procs").write_text(str(program.pid))
            yield program.pid
        finally:
            program.kill()


def test_a_burnt_core_is_seen_in_account_leaf_and_process(cgroups: CgroupTree, tmp_path: Path) -> None:
    for path in ("users", "users/alice", "users/alice/web", "users/bob"):
        cgroups.create(path)
    accounts = LiveAccounts(Fleet(Host(), {}), cgroups, str(tmp_path))
    processes = ProcessReader()
    try:
        with busy(cgroups, "users/alice/web") as pid:
            for _ in range(2):
                rows = {row.name: row for row in accounts.read()}
                inside = accounts.enter("alice")
                running = processes.read("alice", accounts.pids(inside))
                time.sleep(1.0)
    finally:
        accounts.close()
    (process,) = running
    own, leaf = inside
    assert (process.pid, process.leaf, leaf.leaf) == (pid, "web", "web")
    for cores in (rows["alice"].rates.cpu, own.rates.cpu, leaf.rates.cpu, process.cpu):
        assert cores is not None and 0.1 < cores <= 1.2  # other tests use the cores too
    assert rows["bob"].rates.cpu == 0.0
    assert accounts.active == 1
