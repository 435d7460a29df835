"""A refused login may say why, and is ended after a while. It is never moved into a frozen leaf, where sshd would wait
for it without an end."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas_isolate.linux.pam import refused_logins
from paas_isolate.linux.process import procfs
from paas_isolate.model.world import Process
from tests.support.kernel.host import ALICE, NO_LIMIT, TestHost, wait_for_uid, where
from tests.support.kernel.pam_session import STRICT
from tests.support.kernel.processes import Sleepers
from tests.support.kernel.running_daemon import RunningDaemon
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel
SUSPENDED = f"{NO_LIMIT}\nsuspended: true\n"


@pytest.fixture(scope="module")
def sshd() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/opt") as place:
        Path(place).chmod(0o755)
        program = Path(place, "sshd")
        subprocess.run(["gcc", *STRICT, "-o", program, Path(__file__).with_name("sshd.c")], check=True)
        yield program


@contextmanager
def login(program: Path, *more: str, uid: int = ALICE) -> Iterator[tuple[int, int, int]]:
    """The pids of who listens, of the connection's process of root's, and of the user's."""
    process = subprocess.Popen([program, str(uid), *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        listens, connection, user = map(int, process.stdout.readline().split())
        wait_for_uid(uid, user)
        yield listens, connection, user
    finally:
        process.kill()
        process.communicate()


def alive(pid: int) -> bool:
    found = procfs.identity(pid)
    return found is not None and found.alive


def seen(pid: int) -> Process:
    found = procfs.identity(pid)
    assert found
    return Process(pid, found.uids[0], "/", found.start)


def test_it_is_left_alone_while_others_are_moved_and_frozen(host: TestHost, sshd: Path, sleeper: Sleepers) -> None:
    host.account("alice", SUSPENDED)
    other = sleeper(uid=ALICE).pid
    wait_for_uid(ALICE, other)
    with login(sshd) as (_, connection, user):
        before = where(host.cgroups, user)
        done = host.run("reconcile")
        assert done.returncode == 0, done.stdout + done.stderr
        assert (where(host.cgroups, user), where(host.cgroups, other)) == (before, "users/alice/other")
        assert alive(connection)
        host.account("alice", NO_LIMIT)
        assert host.run("reconcile").returncode == 0
        assert where(host.cgroups, user) == "users/alice/other"


def test_it_ends_with_the_process_of_its_connection(sshd: Path) -> None:
    with login(sshd) as (listens, connection, user):
        refused_logins.end(seen(user))
        wait_for(lambda: not alive(user) and not alive(connection), what="both have ended")
        assert alive(listens)


def test_the_listening_sshd_is_never_ended(sshd: Path) -> None:
    with login(sshd, "direct") as (listens, _, user):
        refused_logins.end(seen(user))
        wait_for(lambda: not alive(user), what="it has ended")
        assert alive(listens)


def test_what_is_no_child_of_sshd_is_not_ended(sshd: Path, sleeper: Sleepers) -> None:
    """Neither another program nor the customer's own of that name."""
    pid = sleeper(uid=ALICE).pid
    wait_for_uid(ALICE, pid)
    with login(sshd) as (_, _, user):
        for process in (seen(pid), seen(user)._replace(start=1)):
            with pytest.raises(ProcessLookupError):
                refused_logins.end(process)
        assert alive(user)
    assert alive(pid)


@pytest.mark.long
def test_the_daemon_ends_it_after_a_while(host: TestHost, sshd: Path, tmp_path: Path) -> None:
    host.account("alice", SUSPENDED)
    daemon = RunningDaemon(host, tmp_path / "log")
    try:
        wait_for(
            lambda: "frozen 1" in (host.cgroups.read("users/alice/other", "cgroup.events") or ""),
            what="it is suspended",
        )
        wait_for(daemon.rests, what="all is done")
        with login(sshd) as (listens, connection, user):
            time.sleep(5)  # long enough for what must not come
            assert alive(user)
            assert not where(host.cgroups, user).startswith("users/")
            wait_for(lambda: not alive(user) and not alive(connection), what="both have ended", deadline=10)
            assert alive(listens)
            daemon.says(rf"end process {user} \(sshd\) in .*: its login was refused")
    finally:
        assert daemon.end() == 0
