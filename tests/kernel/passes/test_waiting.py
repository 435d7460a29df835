"""What a customer can make wait for ever (a file system, a process) delays that customer alone."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.host import ALICE, BOB, NO_LIMIT, TestHost, wait_for_uid, where
from tests.support.kernel.hostile_programs import begun, built, homes, ran, silent, wait_for_state
from tests.support.kernel.processes import Sleepers
from tests.support.kernel.running_daemon import RunningDaemon
from tests.support.kernel.view_host import ViewHost
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]

LIMITS = "limits: {io: {read: 1M}}\n"
WORKER = f"services: {{work: {{match: {{command: '*worker*'}}, {NO_LIMIT}}}}}\n"


@pytest.fixture(scope="module")
def programs() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/opt") as place:
        os.chmod(place, 0o755)
        for name in ("silent_fs", "silent_command"):
            built(name, Path(place))
        yield Path(place)


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/opt") as place:
        os.chmod(place, 0o755)
        yield Path(place)


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no FUSE")
@pytest.mark.parametrize("who", ["allow_other", "alone"])
def test_a_home_that_never_answers_holds_nobody_up(host: TestHost, programs: Path, place: Path, who: str) -> None:
    """The source is a path, as sshfs and others have it: it is taken for no disk."""
    home = homes(host, place)
    host.account("alice", LIMITS + "disk: {max: 10M}\n")
    host.account("bob")
    assert host.run("reconcile").returncode in (0, 1)
    host.cgroups.write("users/bob", "cgroup.freeze", "1")
    with silent(programs / "silent_fs", home["alice"], ALICE, who, "nothing") as among:
        done = ran(host, among, "reconcile")
        assert "set cgroup.freeze of users/bob to 0 (was 1)" in done.stdout
        assert f"io limits of users/alice cannot be kept: {home['alice']} lies on fuse.silent at" in done.stderr
        assert f"disk of users/alice cannot be kept: {home['alice']} lies on fuse.silent at" in done.stderr
        assert done.returncode == 1
        assert "set io.max of users/alice" not in done.stdout + done.stderr
        for words in (("diff", "--json"), ("status",), ("status", "alice"), ("coverage",)):
            ran(host, among, *words)


def test_a_program_called_sshd_whose_file_never_answers_holds_nobody_up(
    host: TestHost, programs: Path, place: Path
) -> None:
    for name in ("alice", "bob"):
        host.account(name)
    assert host.run("reconcile").returncode == 0
    host.cgroups.write("users/bob", "cgroup.freeze", "1")
    (mounted := place / "mounted").mkdir()
    with silent(programs / "silent_fs", mounted, ALICE, "allow_other", "sshd") as among:
        step_down = ("setpriv", f"--reuid={ALICE}", f"--regid={ALICE}", "--clear-groups")
        inside = ("nsenter", f"--mount=/proc/{among}/ns/mnt", *step_down, str(mounted / "sshd"), "1000")
        attacker = subprocess.Popen(inside)
        try:
            wait_for(
                lambda: os.readlink(f"/proc/{attacker.pid}/exe") == str(mounted / "sshd"), what="it is called sshd"
            )
            time.sleep(1.1)  # until what the kernel knows of the file is too old
            done = ran(host, os.getpid(), "reconcile")
            assert done.returncode == 0, done.stdout + done.stderr
            assert "set cgroup.freeze of users/bob to 0 (was 1)" in done.stdout
            assert where(host.cgroups, attacker.pid) == "users/alice/other"
        finally:
            attacker.kill()
    attacker.wait()


def test_the_name_of_a_mount_point_is_one_name(host: TestHost, place: Path) -> None:
    """fusermount(1) mounts where a customer says; here root stands for it."""
    host.account("bob")
    assert host.run("reconcile").returncode == 0
    host.cgroups.write("users/bob", "cgroup.freeze", "1")
    point = place / "a\rb\x0bc\x85d\u2028e"
    point.mkdir()
    mount = 'mount -t tmpfs none "$0" && echo ready && exec sleep 1000'
    with begun("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, point) as process:
        done = ran(host, process.pid, "reconcile")
        assert (done.returncode, done.stderr) == (0, "")
        assert "set cgroup.freeze of users/bob to 0 (was 1)" in done.stdout
        for words in (("diff",), ("status",), ("coverage",)):
            assert ran(host, process.pid, *words).returncode == 0


def test_a_command_line_that_cannot_be_read_holds_nobody_up(
    host: TestHost, programs: Path, place: Path, sleeper: Sleepers
) -> None:
    for name in ("alice", "bob"):
        host.account(name, WORKER)
    worker = sleeper(uid=BOB, program="worker = 1; time.sleep(1000)").pid
    wait_for_uid(BOB, worker)
    page = place / "silent"
    page.mkdir()
    # its mount namespace is another: the attacker's is entered for the attack alone
    with silent(programs / "silent_fs", page, ALICE, "allow_other", "page") as among:
        inside = ("nsenter", f"--mount=/proc/{among}/ns/mnt")
        with begun(*inside, programs / "silent_command", page / "page", ALICE, held=True) as attacker:
            wait_for_state(attacker.pid, "D")
            began = time.monotonic()
            done = host.run("reconcile")
            assert time.monotonic() - began < 10
            assert where(host.cgroups, worker) == "users/bob/work"
            assert where(host.cgroups, attacker.pid) == "users/alice/other"
            assert done.returncode == 4, done.stdout + done.stderr
            assert "of users/alice kept their command lines from being read in time" in done.stderr
            assert str(attacker.pid) in done.stderr
            host.cgroups.write("users/alice/work", "cgroup.procs", str(attacker.pid))
            assert host.run("reconcile").returncode == 4
            assert where(host.cgroups, attacker.pid) == "users/alice/work", "it stays where it is"
            assert list(json.loads(host.run("diff", "--json").stdout)["late"]) == ["users/alice"]
            assert "kept their command lines" in host.run("status").stdout
    attacker.wait()
    assert host.run("reconcile").returncode == 0


def test_a_daemon_that_hears_of_such_a_process_goes_on(
    tmp_path: Path, cgroups: CgroupTree, programs: Path, place: Path
) -> None:
    (place / "host").mkdir()
    host = TestHost(place / "host", cgroups, first=1_000_000_000 + 100 * os.getpid())
    for name in ("alice", "bob"):
        host.account(name, WORKER)
    page, knob = place / "silent", Path(cgroups.root, "users/bob/cgroup.freeze")
    page.mkdir()
    daemon = RunningDaemon(host, tmp_path / "log")
    try:
        daemon.says("create users/bob")
        wait_for(daemon.rests, what="the first turn is done")
        with silent(programs / "silent_fs", page, host.first, "allow_other", "page") as among:
            inside = ("nsenter", f"--mount=/proc/{among}/ns/mnt")
            with begun(*inside, programs / "silent_command", page / "page", host.first, held=True) as attacker:
                wait_for_state(attacker.pid, "D")
                daemon.process.send_signal(signal.SIGHUP)
                daemon.says("kept their command lines from being read in time")
                wait_for(lambda: where(cgroups, attacker.pid) == "users/alice/other", what="it is in its account")
                for _ in range(3):
                    subprocess.run(["sh", "-c", f"echo 1 >{knob}"], check=True)
                    wait_for(lambda: knob.read_text() == "0\n", what="bob goes on", deadline=3)
                    time.sleep(0.2)  # an event of its own each time
        attacker.wait()
    finally:
        daemon.process.kill()
        daemon.process.wait()


def test_a_view_that_hides_what_lies_in_such_a_home_is_made_without_it(view_host: ViewHost, programs: Path) -> None:
    """And it is hidden as soon as it is there again."""
    home = view_host.host.place / "bob"
    (home / "private").mkdir(parents=True)
    os.chown(home, view_host.bob, view_host.bob)
    inside = ("nsenter", f"--mount=/proc/{view_host.holder.pid}/ns/mnt")
    view_host.sell("bob")
    with begun(*inside, programs / "silent_fs", home, "/dev/vda", view_host.bob, "allow_other", "nothing"):
        view_host.host.account("alice", f"limits: {{memory: {{kill: process}}}}\nhide: [{home}/private]\n")
        assert "make the view of alice" in view_host.paas("reconcile")
        view_host.paas("reconcile")
        view_host.paas("status", "alice")
    view_host.inside("umount", "--lazy", str(home))
    assert "make the view of alice" in view_host.paas("reconcile")
    assert (
        view_host.asks("alice", f"ls {home}/private")
        == f"ls: cannot open directory '{home}/private': Permission denied"
    )


def test_a_link_of_roots_to_such_a_home_is_seen_through(view_host: ViewHost, programs: Path) -> None:
    home, link = view_host.host.place / "bob", view_host.host.place / "link"
    (home / "private").mkdir(parents=True)
    os.chown(home, view_host.bob, view_host.bob)
    link.symlink_to(home)
    inside = ("nsenter", f"--mount=/proc/{view_host.holder.pid}/ns/mnt")
    view_host.sell("bob")
    with begun(*inside, programs / "silent_fs", home, "/dev/vda", view_host.bob, "allow_other", "nothing"):
        view_host.host.account("alice", f"limits: {{memory: {{kill: process}}}}\nhide: [{link}/private]\n")
        assert "make the view of alice" in view_host.paas("reconcile")
        view_host.paas("status", "alice")


def test_a_home_that_stops_to_answer_later_holds_no_view_up(view_host: ViewHost, programs: Path) -> None:
    home = view_host.host.place / "bob"
    (home / "private").mkdir(parents=True)
    os.chown(home, view_host.bob, view_host.bob)
    inside = ("nsenter", f"--mount=/proc/{view_host.holder.pid}/ns/mnt")
    view_host.sell("bob")
    view_host.host.account("alice", f"limits: {{memory: {{kill: process}}}}\nhide: [{home}/private]\n")
    assert "make the view of alice" in view_host.paas("reconcile")
    with begun(*inside, programs / "silent_fs", home, "/dev/vda", view_host.bob, "allow_other", "nothing"):
        assert "the view of alice" not in view_host.paas("reconcile")
        view_host.paas("status", "alice")
    view_host.inside("umount", "--lazy", str(home))
    assert "the view of alice" not in view_host.paas("reconcile")
    assert (
        view_host.asks("alice", f"ls {home}/private")
        == f"ls: cannot open directory '{home}/private': Permission denied"
    )
