"""Notices of a running daemon, and of processes of customers that are outside the tree."""

import fcntl
import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from paas_isolate.ledger import faults
from paas_isolate.ledger.database import open_for_writing
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.metering.faults import Fault, Kind, Level
from tests.support.kernel import service_host
from tests.support.kernel.host import ALICE, NO_LIMIT, TestHost
from tests.support.kernel.running_daemon import RunningDaemon, stray
from tests.support.kernel.service_host import ServiceHost
from tests.support.receivers import mails
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

WEB = f"services: {{web: {{{NO_LIMIT}}}}}\n"
FIRST = 1_400_000_000 + 100 * os.getpid()


def metering(host: TestHost, text: str) -> None:
    host.configure("")
    with (host.etc / "config.yaml").open("a") as file:
        file.write(f"metering:\n{text}")


def test_a_process_outside_the_tree_is_told_until_it_is_gone(host: TestHost) -> None:
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    with mails() as server:
        metering(
            host,
            f"  mail: {{server: '{server.address}'}}\n"
            "  notices: [{when: stray for 0s, to: {mail: administrator}}]\n",
        )
        done = host.run("notices")
        assert (done.returncode, done.stdout) == (0, "no notice is due\n"), done.stderr
        process = stray(ALICE, "time.sleep(60)")
        try:
            wait_for(lambda: "1 processes" in host.run("notices").stdout, what="it is seen")
            told = json.loads(host.run("notices", "--json").stdout)
            assert [(each["account"], each["phase"], each["figure"]) for each in told] == [("alice", "begins", 1)]
            for said in ("alice: stray for 0s, 1 processes -> mail administrator\n", ""):
                done = host.run("notices", "--send")
                assert (done.returncode, done.stdout) == (0, said), done.stderr
        finally:
            process.kill()
            process.wait()
        assert host.run("notices", "--send").returncode == 0
    first, over = server.mails
    assert "1 processes outside the tree" in first.text
    assert "It is over" in over.text


def sampled(ledger: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
            return connection.execute("SELECT 1 FROM state").fetchone() is not None
    except sqlite3.Error:
        return False


def test_the_daemon_has_rules_looked_at_by_another_process(
    tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, tmp_path: Path
) -> None:
    host = TestHost(tmp_path_factory.mktemp("noticed"), cgroups, FIRST)
    program, told = tmp_path / "program", tmp_path / "told"
    program.write_text(f"#!/bin/sh\necho $PPID >>{tmp_path}/parents\ncat >>{told}\n")
    program.chmod(0o755)
    metering(host, f"  every: 1s\n  notices: [{{when: memory killed, to: {{command: [{program}]}}}}]\n")
    host.account("alice", WEB)
    daemon = RunningDaemon(host, tmp_path / "log")
    ledger = host.place / "state/ledger/ledger.db"
    try:
        wait_for(lambda: sampled(ledger), what="there is a ledger", deadline=60)
        wait_for(lambda: (host.place / "run/notices.json").exists(), what="a round has looked", deadline=60)
        assert not told.exists()
        with closing(sqlite3.connect(ledger, timeout=10)) as connection, connection:
            wall = time.time_ns() // 1_000_000
            faults.add(connection, 1, [Fault(Kind.KILLED, Level.LEAF, "alice", "web", "", 1, wall, 2)])
        daemon.end()
        daemon = RunningDaemon(host, tmp_path / "log")
        wait_for(told.exists, what=lambda: (tmp_path / "log").read_text(), deadline=60)
        wait_for(lambda: told.read_text().endswith("\n"), what="the program was told")
        assert json.loads(told.read_text())["figure"] == 2
        assert int((tmp_path / "parents").read_text()) != daemon.process.pid
    finally:
        daemon.end()
    assert "notice" not in (tmp_path / "log").read_text()
    assert host.run("notices", "--send").returncode == 0
    assert len(told.read_text().splitlines()) == 1


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return service_host.build(tmp_path_factory.mktemp("sbin"))


def slowed(work: ServiceHost, seconds_ago: float = 1) -> None:
    place = work.host.place / "state/ledger"
    open_for_writing(str(place), print).close()
    with closing(sqlite3.connect(place / "ledger.db", timeout=10)) as connection, connection:
        wall = time.time_ns() // 1_000_000 - int(seconds_ago * 1000)
        faults.add(connection, 1, [Fault(Kind.SLOWED, Level.LEAF, "alice", "web", "", 1, wall)])


def test_a_command_of_the_customers_runs_as_them_in_their_leaf_once_a_minute(
    tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path
) -> None:
    with service_host.opened(ServiceHost, tmp_path_factory, cgroups, keeper) as work:
        metering(work.host, "  every: 1s\n")
        ran, hold = work.home / "ran", work.home / "hold"
        waits = f"while [ -e {hold} ]; do sleep 0.1; done"
        command = f"id -un; sed -n s/^0:://p /proc/self/cgroup; echo x >>{ran}; {waits}"
        work.services("web: {priority: 1}", f"on_high: '{command}'\n")
        work.reconcile()
        slowed(work, 400)
        begin = time.monotonic()
        work("notices", "--send")
        assert not ran.exists()  # that was long ago
        slowed(work)
        for _ in range(3):
            work("notices", "--send")
        assert time.monotonic() - begin < 60
        wait_for(lambda: work.log("on_high").count("\n") >= 2, what=lambda: work.log("on_high"))
        user, leaf = work.log("on_high").split("\n")[:2]
        assert user.endswith("alice")
        assert cgroups.path_of(leaf.split()[-1]) == "users/alice/other"
        assert ran.read_text() == "x\n"
        file = work.host.place / "run/on-high/alice"
        wait_for(lambda: not _locked(file), what="it has ended")
        file.write_text("1\n")  # more than a minute ago
        slowed(work, 0.5)
        hold.touch()
        work("notices", "--send")
        wait_for(lambda: ran.read_text() == "x\nx\n", what="it runs again")
        file.write_text("1\n")
        work("notices", "--send")
        assert ran.read_text() == "x\nx\n"  # it still runs
        hold.unlink()
        work.services("web: {priority: 1}", f"on_high: echo x >>{ran}\nsuspended: true\n")
        wait_for(lambda: not _locked(file), what="it has ended")
        slowed(work, 0.1)
        work("notices", "--send")
        assert ran.read_text() == "x\nx\n"


def _locked(file: Path) -> bool:
    with file.open() as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
