"""A process whose first thread has ended is alive: it is found, moved, frozen and killed as any other."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import pidfd, procfs
from paas_isolate.model.world import Process
from paas_isolate.terminate import terminate
from tests.support.kernel.attackers import Attackers
from tests.support.kernel.host import ALICE, NO_LIMIT, TestHost
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]


@contextmanager
def without_leader(program: Path, *more: str, into: str = "") -> Iterator[int]:
    """As alice, in the cgroup with the path `into`."""
    enter = f'echo 0 >"{into}/cgroup.procs" && ' if into else ""
    words = ["sh", "-c", f'{enter}exec "$0" "$@"', str(program), str(ALICE), *more]
    process = subprocess.Popen(words, start_new_session=True)
    try:
        status = Path(f"/proc/{process.pid}/status")
        wait_for(lambda: "State:\tZ" in status.read_text(), what="its first thread has ended")
        yield process.pid
    finally:
        process.kill()
        process.wait()


def where(cgroups: CgroupTree, pid: int) -> str:
    found = procfs.identity(pid)
    return cgroups.path_of(procfs.cgroup(found.thread) or "") if found else ""


def gone(pid: int) -> bool:
    found = procfs.identity(pid)
    return found is None or not found.alive


def test_it_is_alive_and_its_running_thread_identifies_it(attackers: Attackers) -> None:
    with without_leader(attackers("no_leader")) as pid:
        assert "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
        found = procfs.identity(pid)
        assert found is not None
        assert found.alive
        assert found.uids == (ALICE,) * 4
        assert procfs.program(pid) == ""
        assert procfs.program(found.thread) == "no_leader"


def test_it_is_moved_once(attackers: Attackers, cgroups: CgroupTree) -> None:
    cgroups.create("leaf")
    with without_leader(attackers("no_leader")) as pid:
        found = procfs.identity(pid)
        assert found
        pidfd.move(cgroups, Process(pid, ALICE, where(cgroups, pid), found.start), "leaf")
        assert where(cgroups, pid) == "leaf"
        assert cgroups.pids("leaf") == ()  # the kernel lists it where its first thread has ended
        assert tuple(cgroups.threads("leaf")) == (found.thread,)


@pytest.mark.parametrize("inside", [True, False])
def test_it_does_not_survive_kill(attackers: Attackers, cgroups: CgroupTree, *, inside: bool) -> None:
    """Whether its first thread has ended in the leaf, or it was moved in afterwards."""
    for path in ("users", "users/alice", "users/alice/web"):
        cgroups.create(path)
    into = f"{cgroups.root}/users/alice/web" if inside else ""
    with without_leader(attackers("no_leader"), into=into) as pid:
        if not inside:
            cgroups.attach("users/alice/web", pid)
        terminate(cgroups, ["users/alice"], grace=0)
        assert not cgroups.populated("users/alice")
        assert gone(pid)
        assert cgroups.read("users/alice", "cgroup.freeze") == "0"


def test_a_chain_of_them_does_not_survive_kill(attackers: Attackers, cgroups: CgroupTree) -> None:
    for path in ("users", "users/alice", "users/alice/web"):
        cgroups.create(path)
    with without_leader(attackers("no_leader"), "9", into=f"{cgroups.root}/users/alice/web") as pid:
        cgroups.write("users/alice", "cgroup.freeze", "1")
        terminate(cgroups, ["users/alice"], grace=0)
        assert not cgroups.populated("users/alice")
        assert gone(pid)
        assert cgroups.read("users/alice", "cgroup.freeze") == "1"


def test_reconcile_finds_it_and_is_done(attackers: Attackers, host: TestHost) -> None:
    services = f"services: {{web: {{match: {{program: no_leader}}, {NO_LIMIT}}}}}\n"
    host.account("alice", f"{NO_LIMIT}\n{services}")
    with without_leader(attackers("no_leader")) as pid:
        done = host.run("reconcile")
        assert done.returncode == 0, done.stdout + done.stderr
        assert where(host.cgroups, pid) == "users/alice/web"
        again = host.run("reconcile")
        assert (again.returncode, again.stdout) == (0, "nothing to do\n"), again.stderr
        listed = host.run("coverage", "alice")
        assert f"{pid} " in listed.stdout
        assert "1 of 1 processes confined" in listed.stdout
        assert host.run("freeze", "alice").returncode == 0
        assert "frozen 1" in (host.cgroups.read("users/alice", "cgroup.events") or "")
        killed = host.run("kill", "--grace", "0", "alice")
        assert killed.returncode == 0, killed.stderr
        assert gone(pid)
