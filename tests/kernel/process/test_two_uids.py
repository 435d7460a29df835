"""A process with the uids of two customers belongs to the one of its real uid; a process with a uid that is no
customer's belongs to root."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import pidfd, procfs
from paas_isolate.model.world import Process
from tests.support.kernel.attackers import Attackers
from tests.support.kernel.host import ALICE, BOB, NO_LIMIT, TestHost, where
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]
NOBODY = 65534


@contextmanager
def running(uids: tuple[int, ...], *words: str | Path) -> Iterator[int]:
    """As soon as it has these uids."""
    process = subprocess.Popen(words, start_new_session=True)
    try:
        wait_for(lambda: (found := procfs.identity(process.pid)) and found.uids == uids, what=f"it has the uids {uids}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def two(host: TestHost) -> TestHost:
    for name in ("alice", "bob"):
        host.account(name, NO_LIMIT)
    assert host.run("reconcile").returncode == 0
    return host


@contextmanager
def helped(attackers: Attackers) -> Iterator[int]:
    """alice, by a program of bob's that lends his uid."""
    program = shutil.copy(attackers("uids"), attackers("uids").with_name("of_bob"))
    os.chown(program, BOB, BOB)
    os.chmod(program, 0o4755)
    become = ["setpriv", "--reuid", str(ALICE), "--clear-groups", program]
    with running((ALICE, BOB, BOB, BOB), *become) as pid:
        yield pid


def test_a_set_uid_program_of_another_customer_is_placed_by_its_real_uid(attackers: Attackers, two: TestHost) -> None:
    with helped(attackers) as pid:
        for said in (f"move process {pid} (of_bob)", "nothing to do"):
            done = two.run("reconcile")
            assert done.returncode == 0, done.stdout + done.stderr
            assert said in done.stdout
            assert where(two.cgroups, pid) == "users/alice/other"


ROOTS = [
    ("real", (0, ALICE, 0, ALICE)),
    ("saved", (ALICE, ALICE, 0, ALICE)),
    ("files", (ALICE, ALICE, ALICE, 0)),
    ("saved, of a system user", (ALICE, ALICE, NOBODY, ALICE)),
    ("real, with two customers", (0, ALICE, BOB, ALICE)),
]


@pytest.mark.parametrize("uids", [row[1] for row in ROOTS], ids=[row[0] for row in ROOTS])
def test_a_process_with_a_uid_of_no_customer_is_roots(
    attackers: Attackers, two: TestHost, uids: tuple[int, ...]
) -> None:
    with running(uids, attackers("uids"), *map(str, uids)) as pid:
        before = where(two.cgroups, pid)
        done = two.run("reconcile")
        assert (done.returncode, done.stdout) == (0, "nothing to do\n"), done.stderr
        assert where(two.cgroups, pid) == before


def test_a_process_whose_uids_change_at_the_last_moment_is_not_moved(attackers: Attackers, cgroups: CgroupTree) -> None:
    cgroups.create("leaf")
    uids = (ALICE, BOB, ALICE, BOB)
    with running(uids, attackers("uids"), *map(str, uids)) as pid:
        found = procfs.identity(pid)
        assert found
        seen = Process(pid, ALICE, where(cgroups, pid), found.start)
        with pytest.raises(pidfd.ProcessChanged):
            pidfd.move(cgroups, seen, "leaf")
        pidfd.move(cgroups, seen._replace(others=(BOB,)), "leaf")
        assert where(cgroups, pid) == "leaf"
