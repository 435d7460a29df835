"""freeze, stop, kill and suspend where not all is well: a full disk, a wrong file, another run that does not end."""

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
from tests.support.kernel.host import NO_LIMIT, Shop, wait_for_uid, where
from tests.support.kernel.processes import Sleepers
from tests.support.kernel.service_host import ALICE, Workplace, opened
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


class Trouble:
    """Commands in a mount namespace in which something is done to the directories first."""

    def __init__(self, shop: Shop, script: str) -> None:
        self.state, self.run = shop.place / "state", shop.place / "run"
        script = script.format(place=shop.place, state=self.state, run=self.run)
        self.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{script}exec "$@"', "sh"]

    def __call__(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=120)

    def notes(self) -> list[str]:
        return sorted(os.listdir(self.run / "decided")) if (self.run / "decided").exists() else []


@pytest.fixture
def shop(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> Shop:
    """alice and bob have doors."""
    shop = Shop(tmp_path_factory.mktemp("shop"), cgroups, first=ALICE)
    shop.account("alice", f"services: {{web: {{{NO_LIMIT}}}}}\n{PLAIN}")
    shop.account("bob", PLAIN)
    decisions.save(str(shop.place / "state"), Decisions(doors=True))
    assert shop.run("reconcile").returncode == 0
    return shop


def frozen(shop: Shop, path: str = "users/alice") -> bool:
    return shop.cgroups.read(path, "cgroup.freeze") == "1"


def door(shop: Shop) -> str | None:
    return DoorDirectory(str(shop.place / "run/doors"), shop.cgroups.root).observe().get(str(ALICE))


@pytest.mark.parametrize("trouble", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_freeze_where_the_disk_cannot_be_written(shop: Shop, trouble: str) -> None:
    disk = Trouble(shop, trouble)
    done = disk(shop.command("freeze", "alice"))
    assert (done.returncode, frozen(shop), door(shop)) == (4, True, "closed/alice"), done.stderr
    assert "not remembered in" in done.stderr
    assert "decided has it until a reboot" in done.stderr
    assert disk.notes() == ["held.alice"]
    shop.account("bob", PLAIN + "suspended: true\n")
    again = disk(shop.command("reconcile"))
    assert (frozen(shop), frozen(shop, "users/bob")) == (True, True), again.stderr
    assert disk(shop.command("thaw", "alice")).returncode == 0, "what is only noted can be taken back"
    assert (frozen(shop), disk.notes()) == (False, [])
    assert disk(shop.command("freeze", "alice")).returncode == 4
    assert shop.run("reconcile").returncode == 0
    assert (disk.notes(), decisions.load(str(disk.state)).frozen) == ([], {"alice"}), "the next run takes it up"
    assert disk(shop.command("thaw", "alice")).returncode == 1, "to thaw what is remembered can wait for the disk"
    assert frozen(shop)
    assert shop.run("thaw", "alice").returncode == 0
    assert not frozen(shop)


def test_freeze_where_run_cannot_be_written(shop: Shop) -> None:
    done = Trouble(shop, NO_RUN)(shop.command("freeze", "alice"))
    assert (done.returncode, frozen(shop)) == (4, True), done.stderr
    assert "not noted" in done.stderr
    assert decisions.load(str(shop.place / "state")).frozen == {"alice"}
    assert shop.run("reconcile").returncode == 0
    assert (frozen(shop), door(shop)) == (True, "closed/alice")


def test_freeze_where_nothing_can_be_written(shop: Shop) -> None:
    done = Trouble(shop, NO_RUN + READ_ONLY)(shop.command("freeze", "alice/web"))
    assert (done.returncode, frozen(shop, "users/alice/web")) == (4, True)
    assert "the next run undoes it" in done.stderr


def test_freeze_where_decisions_are_damaged(shop: Shop) -> None:
    file = shop.place / "state" / "decisions.json"
    good = file.read_bytes()
    file.write_text("{")
    done = shop.run("freeze", "alice")
    assert (done.returncode, frozen(shop), door(shop)) == (4, True, "closed/alice"), done.stderr
    assert file.read_text() == "{", "what somebody is to look at is left"
    file.write_bytes(good)
    assert shop.run("reconcile").returncode == 0
    assert frozen(shop)
    assert decisions.load(str(shop.place / "state")).frozen == {"alice"}


def test_freeze_where_files_are_wrong(shop: Shop) -> None:
    (shop.etc / "config.yaml").write_text("tree: [")
    assert shop.run("freeze", "alice").returncode == 0
    assert frozen(shop)
    shop.configure("")
    (shop.etc / "accounts.d" / "bob.yaml").write_text("\tlimits: [")
    assert shop.run("freeze", "bob").returncode == 0
    assert frozen(shop, "users/bob")
    assert shop.run("thaw", "alice").returncode == 0
    (shop.etc / "accounts.d").rename(shop.etc / "gone")
    done = shop.run("freeze", "alice")
    assert (done.returncode, frozen(shop)) == (0, True), done.stderr


def test_nobody_waits_for_another_run(shop: Shop, sleeper: Sleepers) -> None:
    pid = sleeper(uid=ALICE).pid
    wait_for_uid(ALICE, pid)
    assert shop.run("reconcile").returncode == 0
    assert where(shop.cgroups, pid) == "users/alice/other"
    with held(str(shop.place / "run/lock")):
        freezing = subprocess.Popen(shop.command("freeze", "bob"), stdout=-1, stderr=-1, text=True)
        wait_for(lambda: frozen(shop, "users/bob"), what="it is frozen beside the other run", deadline=8)
        assert freezing.poll() is None
        killed = shop.run("kill", "alice/other")
        assert (killed.returncode, killed.stdout) == (0, "1 process ended\n")
        assert f"another run is at work: process {os.getpid()} (" in killed.stderr
    said, wrong = freezing.communicate(timeout=60)
    assert freezing.returncode == 0, said + wrong
    assert decisions.load(str(shop.place / "state")).frozen == {"bob"}


def test_a_run_by_hand_waits_and_says_for_whom(shop: Shop) -> None:
    with held(str(shop.place / "run/lock")):
        begun = time.monotonic()
        cron = shop.run("reconcile", "--cron")
        assert (cron.returncode, cron.stdout + cron.stderr) == (75, "")
        assert shop.run("reconcile", "--wait", "0").returncode == 75
        assert time.monotonic() - begun < 8
        waiting = subprocess.Popen(shop.command("reconcile"), stdout=-1, stderr=subprocess.PIPE, text=True)
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith(f"waits for another run: process {os.getpid()} (")
        assert waiting.poll() is None
    assert waiting.wait(60) == 0


def test_names_that_nobody_has_are_answered_with_the_nearest(shop: Shop) -> None:
    for verb in ("freeze", "thaw", "kill"):
        done = shop.run(verb, "alice/wev")
        assert (done.returncode, "did you mean web?" in done.stderr) == (2, True), done.stderr
        done = shop.run(verb, "alise")
        assert (done.returncode, "did you mean alice?" in done.stderr) == (2, True), done.stderr


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path) -> Iterator[Workplace]:
    with opened(Workplace, tmp_path_factory, cgroups, keeper) as work:
        work.services("worker: {run: exec sleep 1000}")
        work.reconcile()
        wait_for(lambda: work.pids("worker"), what="it runs")
        yield work


@pytest.mark.parametrize("trouble", [FULL, READ_ONLY], ids=["full", "read-only"])
def test_stop_where_the_disk_cannot_be_written(work: Workplace, trouble: str) -> None:
    disk = Trouble(work.shop, trouble)
    done = disk(work.command("stop", "alice/worker"))
    assert (done.returncode, work.members("worker")) == (4, set()), done.stderr
    assert disk.notes() == ["stopped.alice.worker"]
    disk(work.command("reconcile"))
    assert work.members("worker") == set(), "it stays stopped"
    work.reconcile()
    assert (disk.notes(), decisions.load(str(disk.state)).stopped) == ([], {"alice/worker"})
    work("start", "alice/worker")
    wait_for(lambda: work.pids("worker"), what="it runs again")


def test_stop_where_decisions_are_damaged(work: Workplace) -> None:
    (work.shop.place / "state" / "decisions.json").write_text("{")
    assert "not remembered" in work("stop", "alice/worker", code=4)
    assert work.members("worker") == set()
    (work.shop.place / "state" / "decisions.json").unlink()
    work.reconcile()
    assert work.members("worker") == set(), "it stays stopped"


def test_the_daemon_leaves_frozen_what_the_disk_does_not_have(work: Workplace, tmp_path: Path) -> None:
    disk, log = Trouble(work.shop, FULL), tmp_path / "log"
    run = str(work.shop.place / "run")
    with open(log, "ab") as said:
        daemon = subprocess.Popen(
            [*disk.prefix, *work.command("daemon", "--interval", "1000")], stdout=said, stderr=said
        )
    try:
        wait_for(
            lambda: (it := control_socket.ask(run, "me", ("alice",), seconds=5)) and it.told,
            what="it answers",
            deadline=30,
        )
        time.sleep(0.5)  # until the daemon is at rest
        assert disk(work.shop.command("freeze", "alice")).returncode == 4
        time.sleep(1)  # long enough for what must not come
        assert frozen(work.shop), log.read_text()
        assert disk.notes() == ["held.alice"]
        answer = control_socket.ask(run, "stop", ("alice", "worker"), seconds=20)
        assert answer is not None
        assert answer.status == 4, answer
        assert disk.notes() == ["held.alice", "stopped.alice.worker"]
    finally:
        daemon.terminate()
        daemon.wait(30)
