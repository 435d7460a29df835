"""freeze, stop, kill and suspend on a full disk, with a wrong file, and beside a run that does not end."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.linux.system import control_socket
from paas_isolate.linux.system.lock import held
from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions
from tests.support.kernel.host import NO_LIMIT, TestHost, wait_for_uid, where
from tests.support.kernel.processes import Sleepers
from tests.support.kernel.service_host import ALICE, ServiceHost, opened
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]

FULL = """
mkdir -p {place}/full && mount -t tmpfs -o size=256k none {place}/full && cp -a {state}/. {place}/full/
cat /dev/zero >{place}/full/filled 2>/dev/null
mount --bind {place}/full {state}
"""
READ_ONLY = "mount --bind {state} {state} && mount -o remount,ro,bind {state}\n"
NO_RUN = "mount --bind {run} {run} && mount -o remount,ro,bind {run}\n"
PLAIN = "limits: {memory: {kill: process}}\n"


class BrokenDirectories:
    """Commands in a mount namespace in which something is done to the directories first."""

    def __init__(self, host: TestHost, script: str) -> None:
        self.state, self.run = host.place / "state", host.place / "run"
        script = script.format(place=host.place, state=self.state, run=self.run)
        self.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{script}exec "$@"', "sh"]

    def __call__(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=120)

    def notes(self) -> list[str]:
        return sorted(os.listdir(self.run / "decided")) if (self.run / "decided").exists() else []


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> TestHost:
    """alice and bob have doors."""
    host = TestHost(tmp_path_factory.mktemp("host"), cgroups, first=ALICE)
    host.account("alice", f"services: {{web: {{{NO_LIMIT}}}}}\n{PLAIN}")
    host.account("bob", PLAIN)
    decisions.save(str(host.place / "state"), Decisions(doors=True))
    assert host.run("reconcile").returncode == 0
    return host


def frozen(host: TestHost, path: str = "users/alice") -> bool:
    return host.cgroups.read(path, "cgroup.freeze") == "1"


def door(host: TestHost) -> str | None:
    return DoorDirectory(str(host.place / "run/doors"), host.cgroups.root).observe().get(str(ALICE))


@pytest.mark.parametrize("trouble", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_freeze_where_the_disk_cannot_be_written(host: TestHost, trouble: str) -> None:
    disk = BrokenDirectories(host, trouble)
    done = disk(host.command("freeze", "alice"))
    assert (done.returncode, frozen(host), door(host)) == (4, True, "closed/alice"), done.stderr
    assert "not remembered in" in done.stderr
    assert "decided has it until a reboot" in done.stderr
    assert disk.notes() == ["held.alice"]
    host.account("bob", PLAIN + "suspended: true\n")
    again = disk(host.command("reconcile"))
    assert (frozen(host), frozen(host, "users/bob")) == (True, True), again.stderr
    assert disk(host.command("thaw", "alice")).returncode == 0, "what is only noted can be taken back"
    assert (frozen(host), disk.notes()) == (False, [])
    assert disk(host.command("freeze", "alice")).returncode == 4
    assert host.run("reconcile").returncode == 0
    assert (disk.notes(), decisions.load(str(disk.state)).frozen) == ([], frozenset({"alice"})), (
        "the next run takes it up"
    )
    assert disk(host.command("thaw", "alice")).returncode == 1, "to thaw what is remembered can wait for the disk"
    assert frozen(host)
    assert host.run("thaw", "alice").returncode == 0
    assert not frozen(host)


def test_freeze_where_run_cannot_be_written(host: TestHost) -> None:
    done = BrokenDirectories(host, NO_RUN)(host.command("freeze", "alice"))
    assert (done.returncode, frozen(host)) == (4, True), done.stderr
    assert "not noted" in done.stderr
    assert decisions.load(str(host.place / "state")).frozen == {"alice"}
    assert host.run("reconcile").returncode == 0
    assert (frozen(host), door(host)) == (True, "closed/alice")


def test_freeze_where_nothing_can_be_written(host: TestHost) -> None:
    done = BrokenDirectories(host, NO_RUN + READ_ONLY)(host.command("freeze", "alice/web"))
    assert (done.returncode, frozen(host, "users/alice/web")) == (4, True)
    assert "the next run undoes it" in done.stderr


def test_freeze_where_decisions_are_damaged(host: TestHost) -> None:
    file = host.place / "state" / "decisions.json"
    good = file.read_bytes()
    file.write_text("{")
    done = host.run("freeze", "alice")
    assert (done.returncode, frozen(host), door(host)) == (4, True, "closed/alice"), done.stderr
    assert file.read_text() == "{", "what somebody is to look at is left"
    file.write_bytes(good)
    assert host.run("reconcile").returncode == 0
    assert frozen(host)
    assert decisions.load(str(host.place / "state")).frozen == {"alice"}


def test_freeze_where_files_are_wrong(host: TestHost) -> None:
    (host.etc / "config.yaml").write_text("tree: [")
    assert host.run("freeze", "alice").returncode == 0
    assert frozen(host)
    host.configure("")
    (host.etc / "accounts.d" / "bob.yaml").write_text("\tlimits: [")
    assert host.run("freeze", "bob").returncode == 0
    assert frozen(host, "users/bob")
    assert host.run("thaw", "alice").returncode == 0
    (host.etc / "accounts.d").rename(host.etc / "gone")
    done = host.run("freeze", "alice")
    assert (done.returncode, frozen(host)) == (0, True), done.stderr


def test_emergency_verbs_do_not_wait_for_another_run(host: TestHost, sleeper: Sleepers) -> None:
    pid = sleeper(uid=ALICE).pid
    wait_for_uid(ALICE, pid)
    assert host.run("reconcile").returncode == 0
    assert where(host.cgroups, pid) == "users/alice/other"
    with held(str(host.place / "run/lock")):
        freezing = subprocess.Popen(host.command("freeze", "bob"), stdout=-1, stderr=-1, text=True)
        wait_for(lambda: frozen(host, "users/bob"), what="it is frozen beside the other run", deadline=8)
        assert freezing.poll() is None
        killed = host.run("kill", "alice/other")
        assert (killed.returncode, killed.stdout) == (0, "1 process ended\n")
        assert f"another run is at work: process {os.getpid()} (" in killed.stderr
    said, wrong = freezing.communicate(timeout=60)
    assert freezing.returncode == 0, said + wrong
    assert decisions.load(str(host.place / "state")).frozen == {"bob"}


def test_a_run_by_hand_waits_and_says_for_whom(host: TestHost) -> None:
    with held(str(host.place / "run/lock")):
        begun = time.monotonic()
        cron = host.run("reconcile", "--cron")
        assert (cron.returncode, cron.stdout + cron.stderr) == (75, "")
        assert host.run("reconcile", "--wait", "0").returncode == 75
        assert time.monotonic() - begun < 8
        waiting = subprocess.Popen(host.command("reconcile"), stdout=-1, stderr=subprocess.PIPE, text=True)
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith(f"waits for another run: process {os.getpid()} (")
        assert waiting.poll() is None
    assert waiting.wait(60) == 0


def test_names_that_nobody_has_are_answered_with_the_nearest(host: TestHost) -> None:
    for verb in ("freeze", "thaw", "kill"):
        done = host.run(verb, "alice/wev")
        assert (done.returncode, "did you mean web?" in done.stderr) == (2, True), done.stderr
        done = host.run(verb, "alise")
        assert (done.returncode, "did you mean alice?" in done.stderr) == (2, True), done.stderr


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path) -> Iterator[ServiceHost]:
    with opened(ServiceHost, tmp_path_factory, cgroups, keeper) as work:
        work.services("worker: {run: exec sleep 1000}")
        work.reconcile()
        wait_for(lambda: work.pids("worker"), what="it runs")
        yield work


@pytest.mark.parametrize("trouble", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_stop_where_the_disk_cannot_be_written(work: ServiceHost, trouble: str) -> None:
    disk = BrokenDirectories(work.host, trouble)
    done = disk(work.command("stop", "alice/worker"))
    assert (done.returncode, work.members("worker")) == (4, set()), done.stderr
    assert disk.notes() == ["stopped.alice.worker"]
    disk(work.command("reconcile"))
    assert work.members("worker") == set(), "it stays stopped"
    work.reconcile()
    assert (disk.notes(), decisions.load(str(disk.state)).stopped) == ([], frozenset({"alice/worker"}))
    work("start", "alice/worker")
    wait_for(lambda: work.pids("worker"), what="it runs again")


def test_stop_where_decisions_are_damaged(work: ServiceHost) -> None:
    (work.host.place / "state" / "decisions.json").write_text("{")
    assert "not remembered" in work("stop", "alice/worker", code=4)
    assert work.members("worker") == set()
    (work.host.place / "state" / "decisions.json").unlink()
    work.reconcile()
    assert work.members("worker") == set(), "it stays stopped"


def test_the_daemon_leaves_frozen_what_the_disk_does_not_have(work: ServiceHost, tmp_path: Path) -> None:
    disk, log = BrokenDirectories(work.host, FULL), tmp_path / "log"
    run = str(work.host.place / "run")
    with open(log, "ab") as said:
        daemon = subprocess.Popen(
            [*disk.prefix, *work.command("daemon", "--interval", "1000")], stdout=said, stderr=said
        )
    try:
        wait_for(
            lambda: (answer := control_socket.ask(run, "me", about="alice", seconds=5)) and answer.told,
            what="it answers",
            deadline=30,
        )
        time.sleep(0.5)  # until the daemon is at rest
        assert disk(work.host.command("freeze", "alice")).returncode == 4
        time.sleep(1)  # long enough for what must not come
        assert frozen(work.host), log.read_text()
        assert disk.notes() == ["held.alice"]
        answer = control_socket.ask(run, "stop", {"service": "worker"}, about="alice", seconds=20)
        assert answer is not None
        assert answer.status == 4, answer
        assert disk.notes() == ["held.alice", "stopped.alice.worker"]
    finally:
        daemon.terminate()
        daemon.wait(30)
