"""The cgroup tree on this kernel: cgroup files, processes, moves. None of this needs controllers."""

import errno
import os
import signal
import threading
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import pidfd, procfs
from paas_isolate.model.world import Process
from paas_isolate.terminate import terminate
from tests.support.kernel.processes import Sleepers
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

UID = 48_123


def outside(cgroups: CgroupTree, pid: int) -> str:
    return cgroups.path_of(procfs.cgroup(pid) or "")


def ignores_sigterm(pid: int) -> bool:
    ignored = Path(f"/proc/{pid}/status").read_text().partition("SigIgn:")[2].split()[0]
    return bool(int(ignored, 16) >> signal.SIGTERM - 1 & 1)


def settled(pid: int, uid: int) -> procfs.Identity:
    """The identity once the child has dropped its privileges."""
    return wait_for(
        lambda: found if (found := procfs.identity(pid)) and found.uids == (uid,) * 4 else None,
        what=f"process {pid} has become {uid}",
    )


def test_what_is_not_there_reads_as_nothing(cgroups: CgroupTree) -> None:
    assert cgroups.read("users/alice", "cgroup.procs") is None
    assert cgroups.look("users/alice", ("cgroup.freeze",)) is None
    assert cgroups.pids("users/alice") == ()
    assert cgroups.children("users/alice") == []
    assert not cgroups.exists("users/alice")
    cgroups.remove("users/alice")


def test_making_and_removing(cgroups: CgroupTree) -> None:
    for path in ("users", "users/alice", "users/alice/web", "users/alice/web"):
        cgroups.create(path)
    assert cgroups.children("users") == ["alice"]
    assert cgroups.descendants("users") == 2
    with pytest.raises(OSError) as refused:
        cgroups.remove("users")
    assert refused.value.errno == errno.EBUSY
    cgroups.write("users/alice/web", "cgroup.freeze", "1")
    assert cgroups.look("users/alice/web", ("cgroup.freeze", "no.such")) == ({"cgroup.freeze": "1"}, ())


def test_a_link_is_never_followed(cgroups: CgroupTree, tmp_path: object) -> None:
    """cgroupfs makes no links; a tree that is not cgroupfs must not lead us elsewhere either."""
    link = f"{tmp_path}/link"
    os.symlink("/etc/hostname", link)
    with CgroupTree(str(tmp_path), str(tmp_path)) as elsewhere, pytest.raises(OSError) as refused:
        elsewhere.read("", "link")
    assert refused.value.errno == errno.ELOOP


def test_a_process_is_moved_and_known_again(cgroups: CgroupTree, sleeper: Sleepers) -> None:
    cgroups.create("leaf")
    pid = sleeper(uid=UID).pid
    found = settled(pid, UID)
    assert (pid, UID) in set(procfs.effective_uids())
    process = Process(pid, UID, outside(cgroups, pid), found.start)
    pidfd.move(cgroups, process, "leaf")
    assert cgroups.pids("leaf") == (pid,)
    assert outside(cgroups, pid) == "leaf"


def test_a_process_that_is_not_what_it_was_is_left_alone(cgroups: CgroupTree, sleeper: Sleepers) -> None:
    cgroups.create("leaf")
    pid = sleeper(uid=UID).pid
    start, here = settled(pid, UID).start, outside(cgroups, pid)
    for wrong in (
        Process(pid, UID + 1, here, start),
        Process(pid, UID, here, start + 1),
        Process(pid, UID, "users/alice/login", start),
    ):
        with pytest.raises(pidfd.ProcessChanged):
            pidfd.move(cgroups, wrong, "leaf")
    assert cgroups.pids("leaf") == ()


def test_a_process_is_moved_without_realtime_priority(
    cgroups: CgroupTree, sleeper: Sleepers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "sched_setscheduler")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    cgroups.create("leaf")
    pid = sleeper(uid=UID).pid
    pidfd.move(cgroups, Process(pid, UID, outside(cgroups, pid), settled(pid, UID).start), "leaf")
    assert cgroups.pids("leaf") == (pid,)


def test_a_process_that_has_ended_is_gone(cgroups: CgroupTree, sleeper: Sleepers) -> None:
    cgroups.create("leaf")
    process = sleeper(uid=UID, program="pass")
    found = Process(process.pid, UID, outside(cgroups, process.pid))
    wait_for(lambda: not (now := procfs.identity(process.pid)) or not now.alive, what="it has ended")
    with pytest.raises(ProcessLookupError):  # a zombie: not reaped yet
        pidfd.move(cgroups, found, "leaf")
    process.wait()
    with pytest.raises(ProcessLookupError):
        pidfd.move(cgroups, found, "leaf")


def test_a_set_uid_program_is_not_settled(sleeper: Sleepers) -> None:
    pid = sleeper(program=f"os.setresuid({UID}, 0, 0); time.sleep(1000)").pid
    found = wait_for(
        lambda: now if (now := procfs.identity(pid)) and now.uids[0] == UID else None, what=f"it has become {UID}"
    )
    assert found.uids == (UID, 0, 0, 0)
    assert not found.settled


def test_removal_waits_for_the_last_process_to_be_gone(cgroups: CgroupTree, sleeper: Sleepers) -> None:
    cgroups.create("leaf")
    process = sleeper()
    cgroups.attach("leaf", process.pid)
    with pytest.raises(OSError) as refused:
        cgroups.remove("leaf")
    assert refused.value.errno == errno.EBUSY
    cgroups.kill("leaf")
    process.wait()
    cgroups.remove("leaf")
    assert not cgroups.exists("leaf")


def test_killing_asks_first(cgroups: CgroupTree, sleeper: Sleepers) -> None:
    for path in ("users", "users/alice", "users/alice/web"):
        cgroups.create(path)
    polite = sleeper(uid=UID)
    stubborn = sleeper(uid=UID, program="signal.signal(15, signal.SIG_IGN); time.sleep(1000)")
    settled(polite.pid, UID), settled(stubborn.pid, UID)
    wait_for(lambda: ignores_sigterm(stubborn.pid), what="the stubborn one ignores SIGTERM")
    for process in (polite, stubborn):
        cgroups.attach("users/alice/web", process.pid)
    statuses: list[int] = []
    reapers = [threading.Thread(target=lambda p=p: statuses.append(p.wait())) for p in (polite, stubborn)]
    for reaper in reapers:
        reaper.start()
    assert terminate(cgroups, ["users/alice"], grace=0.5) == 2
    for reaper in reapers:
        reaper.join()
    assert (polite.returncode, stubborn.returncode) == (-15, -9)


def test_a_frozen_service_can_be_killed(cgroups: CgroupTree, sleeper: Sleepers) -> None:
    for path in ("users", "users/alice", "users/alice/web"):
        cgroups.create(path)
    process = sleeper()
    cgroups.attach("users/alice/web", process.pid)
    cgroups.write("users/alice", "cgroup.freeze", "1")
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    assert terminate(cgroups, ["users/alice"], grace=0.1) == 1
    reaper.join()
    assert process.returncode == -9
