"""The daemon on this kernel: it repairs what it hears of at once; nothing depends on it.

Tests change cgroup.freeze, the one knob that every cgroup has: there are no controllers here.
"""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions
from tests.support.kernel.host import TestHost
from tests.support.kernel.running_daemon import (
    ALICE,
    ALICE_UID,
    PLAIN,
    RunningDaemon,
    frozen,
    inside,
    outside,
    stray,
    trouble,
    write,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> TestHost:
    return TestHost(tmp_path_factory.mktemp("host"), cgroups, first=ALICE_UID)


def test_a_file_that_is_saved_is_applied(daemon: RunningDaemon, host: TestHost) -> None:
    host.account("alice", PLAIN + "suspended: true\n")
    wait_for(lambda: frozen(host), what="the account is suspended")
    host.account("bob", PLAIN)
    wait_for(lambda: frozen(host, "users/bob") is False, what="the new account is there")
    (host.etc / "accounts.d/bob.yaml").unlink()
    wait_for(lambda: frozen(host, "users/bob") is None, what="the account has gone")
    host.account("alice", PLAIN + "suspended: no\n")
    daemon.says("suspended is 'no'; expected true or false")
    assert frozen(host)
    host.account("alice", PLAIN)
    wait_for(lambda: not frozen(host), what="the account goes on")


def test_an_edit_opens_and_closes_doors_of_that_account_and_touches_no_other(
    daemon: RunningDaemon, host: TestHost
) -> None:
    host.account("bob", PLAIN)
    decisions.save(str(host.place / "state"), Decisions(launcher=True))
    daemon.process.send_signal(signal.SIGHUP)
    doors = host.place / "run/doors"
    wait_for(lambda: (doors / ".complete").exists(), what="all doors are there")
    there = (doors / ".complete").stat().st_ino
    alice, bob = (doors / str(host.first + n) for n in range(2))
    for suspended in (True, False):
        host.account("alice", PLAIN + ("suspended: true\n" if suspended else ""))
        wait_for(
            lambda: os.readlink(alice).startswith("closed") is suspended,  # noqa: B023
            what="alice's door follows",
        )
        time.sleep(0.2)  # long enough for what must not come
        assert (doors / ".complete").stat().st_ino == there
        assert os.readlink(bob).endswith("users/bob/login")
    assert "remove door" not in daemon.log.read_text()


def test_a_knob_written_by_hand_is_restored_and_its_writer_named(daemon: RunningDaemon, host: TestHost) -> None:
    write(host, "1")
    wait_for(lambda: not frozen(host), what="the account goes on")
    daemon.says(r"set cgroup.freeze of users/alice to 0 \(was 1\); changed by pid \d+")


def test_a_write_is_noticed_although_the_writers_mount_namespace_is_gone(daemon: RunningDaemon, host: TestHost) -> None:
    daemon.process.send_signal(signal.SIGSTOP)
    line = f"echo 1 >{host.cgroups.root}/{ALICE}/cgroup.freeze"
    subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", line], check=True)
    time.sleep(0.2)  # the namespace goes some time after its last process; nothing shows that
    daemon.process.send_signal(signal.SIGCONT)
    daemon.says(r"set cgroup.freeze of users/alice to 0 \(was 1\); changed by pid \d+, which has ended")


def test_the_writer_is_named_in_a_whole_pass_too(daemon: RunningDaemon, host: TestHost) -> None:
    """Both are heard in the same moment."""
    daemon.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: "T (stopped)" in Path(f"/proc/{daemon.process.pid}/status").read_text(), what="it sleeps")
    line = f"echo 1 >{host.cgroups.root}/{ALICE}/cgroup.freeze; exec sleep 100"
    with subprocess.Popen(["sh", "-c", line]) as writer:
        wait_for(lambda: procfs.name(writer.pid) == "sleep", what="it is written")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.process.send_signal(signal.SIGCONT)
        daemon.says(rf"set cgroup.freeze of users/alice to 0 \(was 1\); changed by pid {writer.pid} \(sleep, root\)")
        writer.kill()


def test_after_three_changes_in_a_minute_repair_stops_and_names_the_writer(
    daemon: RunningDaemon, host: TestHost
) -> None:
    for times in range(1, 4):
        write(host, "1")
        daemon.says(f"(?s)(changed by pid.*){{{times}}}")
    write(host, "1")
    daemon.says("users/alice was changed more than 3 times a minute, last by")
    assert frozen(host)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: not frozen(host), what="a look at everything puts it back")


def test_it_ends_on_sigterm_and_changes_nothing_when_killed(daemon: RunningDaemon, host: TestHost) -> None:
    for _ in range(3):
        daemon.process.kill()
        assert daemon.process.wait() == -signal.SIGKILL
        assert frozen(host) is False
        daemon.process = daemon.start()
    host.account("bob", PLAIN)
    wait_for(lambda: frozen(host, "users/bob") is False, what="the one that was started last works")
    assert daemon.end() == 0
    assert frozen(host) is False


@pytest.mark.parametrize("times", [5, pytest.param(100, marks=pytest.mark.long)])
def test_killed_at_any_moment_it_changes_nothing_of_a_customer(
    daemon: RunningDaemon, host: TestHost, times: int
) -> None:
    """While files are saved, knobs written and processes started, so that it is killed in the middle of its work."""
    host.account("bob", PLAIN)
    wait_for(lambda: frozen(host, "users/bob") is False, what="both are there")
    inode = Path(host.cgroups.root, ALICE).stat().st_ino
    ended = threading.Event()
    load = threading.Thread(target=trouble, args=(host, ended))
    with stray(ALICE_UID, "time.sleep(1000)") as process:
        wait_for(lambda: process.pid in inside(host), what="alice's process is in its account")
        load.start()
        try:
            for number in range(times):
                time.sleep(number % 10 / 20)  # another moment each time
                daemon.process.kill()
                daemon.process.wait()
                assert process.pid in inside(host)
                assert (frozen(host), Path(host.cgroups.root, ALICE).stat().st_ino) == (False, inode)
                daemon.process = daemon.start()
        finally:
            ended.set()
            load.join()
            process.kill()
    wait_for(lambda: host.run("diff", "--exit-code").returncode == 0, what="it catches up", deadline=30)
    host.account("bob", PLAIN + "suspended: true\n")
    wait_for(lambda: frozen(host, "users/bob"), what="the one that was started last works")
    assert daemon.end() == 0


FORKS = """
import os, signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
begin, made = time.monotonic(), 0
while True:
    while made < (time.monotonic() - begin) / {each}:
        made += 1
        if not os.fork():
            os.setgroups([])
            os.setresgid({uid}, {uid}, {uid})
            os.setresuid({uid}, {uid}, {uid})
            time.sleep({stays})
            os._exit(0)
    time.sleep({each})
"""


def test_a_process_that_becomes_a_customers_is_moved_in(daemon: RunningDaemon, host: TestHost) -> None:
    with stray(ALICE_UID, "time.sleep(60)") as process:
        try:
            wait_for(lambda: process.pid in inside(host), what="the process is in its account")
            daemon.says(f"move process {process.pid} .* to users/alice/other")
        finally:
            process.kill()


COMES_AGAIN = 'read line && exec sh -c "$0" "$0"'
"""Another program at each line, and yet the same process."""


def test_a_process_that_is_moved_out_again_and_again_is_left_there(daemon: RunningDaemon, host: TestHost) -> None:
    here = f"{host.cgroups.mount}{procfs.cgroup(os.getpid())}/cgroup.procs"
    host.account("alice", PLAIN + "services: {web: {match: {program: nginx}, limits: {memory: {kill: process}}}}\n")
    wait_for(lambda: frozen(host, f"{ALICE}/web") is False, what="programs count")
    program = ["setpriv", "--reuid", str(ALICE_UID), "--clear-groups", "sh", "-c", COMES_AGAIN, COMES_AGAIN]
    with subprocess.Popen(program, stdin=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin
        try:
            for _ in range(3):
                wait_for(lambda: process.pid in inside(host), what="the process is in its account")
                Path(here).write_text(str(process.pid))
                assert outside(host, ALICE_UID) == [process.pid]
                process.stdin.write("\n")  # heard is another program, not that it is taken elsewhere
            daemon.says(f"process {process.pid} of uid {ALICE_UID} was changed more than 3 times a minute")
            process.stdin.write("\n" * 20)
            with stray(ALICE_UID, "time.sleep(60)") as other:
                wait_for(lambda: other.pid in inside(host), what="another one is moved as before")
                other.kill()
            assert outside(host, ALICE_UID) == [process.pid]
            daemon.process.send_signal(signal.SIGHUP)
            wait_for(lambda: process.pid in inside(host), what="a look at everything puts it back")
            assert daemon.log.read_text().count("more than 3 times a minute") == 1
        finally:
            process.kill()


def test_an_edit_leaves_nothing_to_do(daemon: RunningDaemon, host: TestHost) -> None:
    """What one account's file is applied by alone is what a run that reads everything wants."""
    host.account("bob", PLAIN)
    wait_for(lambda: frozen(host, "users/bob") is False, what="the new account is there")
    service = "services: {web: {limits: {memory: {kill: process}}}}\n"
    for text, leaf in ((PLAIN + service, True), (PLAIN, False), (PLAIN + service + "suspended: true\n", True)):
        host.account("bob", text)
        wait_for(lambda: Path(host.cgroups.root, "users/bob/web").exists() is leaf, what=f"bob's leaf: {leaf}")  # noqa: B023
        wait_for(lambda: frozen(host, "users/bob") is ("suspended" in text), what="bob is as his file says")  # noqa: B023
        done = host.run("diff", "--exit-code")
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_that_is_written_anew_takes_nothing_away(daemon: RunningDaemon, host: TestHost) -> None:
    """Some editors take a file away before they write it."""
    before = Path(host.cgroups.root, ALICE).stat().st_ino
    path = host.etc / "accounts.d/alice.yaml"
    for _ in range(5):
        path.rename(path.with_suffix(".yaml~"))
        time.sleep(0.1)  # the daemon sees the file gone
        host.account("alice", PLAIN)
    time.sleep(2)  # long enough for what must not come
    assert Path(host.cgroups.root, ALICE).stat().st_ino == before


def test_what_an_administrator_stops_stays_stopped(daemon: RunningDaemon, host: TestHost) -> None:
    """By another program of ours, whose writes the daemon hears of."""
    for command, stopped in (("freeze", True), ("thaw", False)) * 3:
        wait_for(lambda: host.run(command, "alice").returncode == 0, what="nobody else is at work")  # noqa: B023
        time.sleep(0.3)  # long enough for what must not come
        assert frozen(host) is stopped


def test_an_account_is_removed_when_its_last_process_ends(daemon: RunningDaemon, host: TestHost) -> None:
    with stray(ALICE_UID, "time.sleep(60)") as process:
        wait_for(lambda: process.pid in inside(host), what="the process is in its account")
        (host.etc / "accounts.d/alice.yaml").unlink()
        daemon.says("alice is not removed: waits until its processes have ended")
        process.kill()
        wait_for(lambda: frozen(host) is None, what="the account has gone", deadline=5)


def test_forks_by_the_thousand_are_inside_within_a_second(
    daemon: RunningDaemon, host: TestHost, tmp_path: Path
) -> None:
    """2,000 a second: each is a customer's for a tenth of a second, and was root's before."""
    storm = subprocess.Popen(["/usr/bin/python3", "-ISc", FORKS.format(uid=ALICE_UID, each=0.0005, stays=0.1)])
    try:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            assert storm.poll() is None
            time.sleep(0.1)  # the storm goes on for so long
        storm.send_signal(signal.SIGSTOP)  # those that are there stay for a moment
        time.sleep(1)  # so long the daemon may take
        assert not outside(host, ALICE_UID)
        storm.send_signal(signal.SIGCONT)
    finally:
        storm.kill()
        storm.wait()
    wait_for(lambda: not inside(host), what="all have ended")


def test_a_storm_of_strays_leaves_none_outside(daemon: RunningDaemon, host: TestHost) -> None:
    """Many that fork while they are moved."""
    fork = "[os.fork() for _ in range(3)]; time.sleep(60)"
    storm = [stray(ALICE_UID, fork) for _ in range(25)]
    try:
        wait_for(lambda: len(inside(host)) == 25 * 8, what="all are in the account")
        assert daemon.process.poll() is None
    finally:
        for process in storm:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_cron_and_daemon_do_not_fight(daemon: RunningDaemon, host: TestHost) -> None:
    for times in range(6):
        host.account("alice", PLAIN + ("suspended: true\n" if times % 2 else ""))
        done = host.run("reconcile", "--wait", "20")
        assert done.returncode == 0, done.stderr
        assert frozen(host) is bool(times % 2)
    assert daemon.process.poll() is None


def test_it_keeps_running_when_the_tree_is_gone_and_a_record_arrives(host: TestHost, tmp_path: Path) -> None:
    most = Path(host.cgroups.root, "cgroup.max.descendants")
    root, config = most.parent / "deep", host.etc / "config.yaml"
    config.write_text(config.read_text().replace(str(most.parent), str(root)))
    host.account("alice", PLAIN)

    def gone() -> bool:
        for path in sorted(root.rglob("*/"), reverse=True):
            path.rmdir()
        root.rmdir()
        most.write_text("0")
        return not root.exists()

    begun = RunningDaemon(host, tmp_path / "log")
    try:
        wait_for((root / "users/alice/other").exists, what="the tree is there")
        wait_for(begun.rests, what="the first pass is done")
        wait_for(gone, what="the tree has gone")
        (host.place / "run/services/alice.web").write_text("")
        begun.says(r"paas-isolate: tree.root \S+ cannot be made")
        most.write_text("max")
        begun.process.send_signal(signal.SIGHUP)
        wait_for((root / "users/alice/other").exists, what="the tree is there again")
        assert begun.end() == 0
    finally:
        begun.process.kill()
        begun.process.wait()


def test_at_rest_it_uses_no_cpu_time(daemon: RunningDaemon) -> None:
    def spent() -> float:
        fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    time.sleep(1)  # until it is at rest
    before = spent()
    time.sleep(2)  # what it takes meanwhile is measured
    assert spent() - before <= 0.05


def test_daemon_once_is_the_same_as_reconcile(host: TestHost) -> None:
    host.account("alice", PLAIN)
    done = host.run("daemon", "--once")
    assert done.returncode == 0, done.stderr
    assert "changes made" in done.stdout
    assert frozen(host) is False
