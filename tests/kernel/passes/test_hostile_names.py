"""Names of programs, arguments and output that a customer chose reach neither root's terminal as control sequences nor
the journal as lines of their own."""

import json
import os
import pty
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.kernel.processes import Sleepers
from tests.support.kernel.service_host import ServiceHost, opened
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]

NAME = b"w\npaas: ok\x1b[2J\x9b[b]\xe2\x80\xae"
ASKS = f"services: {{web: {{match: {{program: nobody}}, {NO_LIMIT}}}}}\n{NO_LIMIT}\n"
"""Programs are looked at."""
UID = 700_000_000 + secrets.randbelow(10_000_000) * 3


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> TestHost:
    host = TestHost(tmp_path_factory.mktemp("host"), cgroups, first=UID)
    host.account("alice", "limits: {memory: {kill: process}}\n")
    return host


@pytest.fixture
def program() -> Iterator[bytes]:
    """A program of that name which sleeps."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        path = os.fsencode(place) + b"/" + NAME
        shutil.copy(b"/bin/sleep", path)
        yield path


def started(sleeper: Sleepers, program: bytes) -> int:
    """By alice, with arguments of that kind too."""
    pid = sleeper(uid=UID, program=f"os.execv({program!r}, [{NAME!r}, '1000'])").pid
    wait_for(lambda: procfs.program(pid).startswith("w\n"), what="it is that program")
    return pid


def assert_harmless(said: bytes) -> None:
    bad = [letter for letter in said.decode() if letter != "\n" and not letter.isprintable()]
    assert bad == [], said
    assert not any(line.startswith(b"paas: ok") for line in said.splitlines()), said


def ran(host: TestHost, *words: str) -> tuple[int, bytes]:
    done = subprocess.run(host.command(*words), stdout=-1, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


def test_commands_that_show_processes(host: TestHost, sleeper: Sleepers, program: bytes) -> None:
    assert ran(host, "reconcile")[0] == 0
    host.account("alice", ASKS)
    pid = started(sleeper, program)
    script = (
        r"printf '\nx\033[2J[/b]\233\177' >/proc/self/comm; " + f"setpriv --reuid {UID + 1} --clear-groups sleep 1000"
    )
    way = subprocess.Popen(["sh", "-c", script], start_new_session=True)
    host.account("bob", 'users: ["b\\e[2J\\nob"]\n"x-\\e\\n": 1\n')
    try:
        for words in (["coverage"], ["status"], ["status", "alice"], ["diff"], ["check"], ["coverage", "--json"]):
            status, said = ran(host, *words)
            assert status in (0, 2, 3), (words, said)
            assert_harmless(said)
        told = json.loads(subprocess.run(host.command("coverage", "--json"), stdout=-1).stdout)["processes"]
        assert [entry["program"] for entry in told if entry["pid"] == pid] == [os.fsdecode(NAME)], (
            "JSON has the name as it is"
        )
        host.account("bob", f"{NO_LIMIT}\n")
        table = ran(host, "coverage")[1].decode()
        assert r"w\npaas: ok\x1b[2J\udc9b[b]\u202e" in table
        assert "\\nx\\x1b[2J[/b]\ufffd\\x7f" in table, "the way by which bob's came in"
        status, said = ran(host, "reconcile")
        assert f"move process {pid}" in said.decode()
        assert_harmless(said)
    finally:
        os.killpg(way.pid, 9)
        way.wait()


def test_what_the_daemon_writes_into_the_journal(
    host: TestHost, sleeper: Sleepers, program: bytes, tmp_path: Path
) -> None:
    host.account("alice", ASKS)
    log = tmp_path / "log"
    with open(log, "ab") as said:
        daemon = subprocess.Popen(host.command("daemon", "--interval", "1000"), stdout=said, stderr=said)
    try:
        wait_for(lambda: b"create users/alice/other" in log.read_bytes(), what="it has looked at everything")
        pid = started(sleeper, program)
        wait_for(lambda: b"move process %d" % pid in log.read_bytes(), what="the process is moved")
        time.sleep(0.2)  # what is said after it is looked at, too
        assert_harmless(log.read_bytes())
    finally:
        daemon.terminate()
        daemon.wait(20)


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path) -> Iterator[ServiceHost]:
    with opened(ServiceHost, tmp_path_factory, cgroups, keeper, first=UID) as work:
        yield work


def test_logs_on_a_terminal(work: ServiceHost) -> None:
    text = b"\x1b]0;owned\x07\x9b2J\tcolumn\xff\r\n"
    work.services("worker: {run: 'exec sleep 1000'}")
    work.reconcile()
    wait_for(lambda: work.members("worker"), what="it runs")
    log = work.home / "logs" / "worker.log"
    wait_for(log.exists, what="there is a log")
    log.write_bytes(text)
    master, slave = pty.openpty()
    done = subprocess.run(work.command("logs", "alice/worker"), stdout=slave, stderr=slave)
    shown = os.read(master, 65536)
    os.close(slave)
    os.close(master)
    assert done.returncode == 0
    assert shown == rb"\x1b]0;owned\x07\udc9b2J   column\udcff" + b"\r\n"
    piped = subprocess.run(work.command("logs", "alice/worker"), stdout=-1)
    assert piped.stdout == text, "a pipe gets the log as it is"
