"""One account's trouble costs that account alone: an owner who is exempt or gone, and errors of our own."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions
from tests.support.kernel import broken_place
from tests.support.kernel.broken_place import PLACES
from tests.support.kernel.host import NO_LIMIT, TestHost, wait_for_uid, where
from tests.support.kernel.processes import Sleepers
from tests.support.kernel.running_daemon import ALICE_UID, RunningDaemon, frozen, write
from tests.support.kernel.view_host import ViewHost
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

JOB = f"{{run: 'true', schedule: '0 3 1 1 *', {NO_LIMIT}}}"
RULE = f"{{match: {{program: 'worker*'}}, {NO_LIMIT}}}"
PLAIN = f"limits: {{memory: {{kill: process}}}}\nservices: {{job: {JOB}, work: {RULE}}}\n"
FEATURES = f"""
limits: {{memory: {{kill: process}}}}
private: {{tmp: true, processes: true}}
hide: [/srv]
disk: {{max: 10M}}
services:
  job: {JOB}
  web: {{run: exec sleep 1000, {NO_LIMIT}}}
  work: {RULE}
  sftp: {{entry: [vsftpd], {NO_LIMIT}}}
"""


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> TestHost:
    made = TestHost(tmp_path_factory.mktemp("host"), cgroups, first=ALICE_UID)
    decisions.save(str(made.place / "state"), Decisions(launcher=True))
    return made


def no_traceback(said: str) -> None:
    """But for ours, of which each line has the account's name."""
    assert not [line for line in said.splitlines() if line.startswith("Traceback")], said


def names_of_users(host: TestHost, line: str) -> None:
    """`line` is bob's in passwd; '' where he is gone."""
    passwd = host.place / "passwd"
    others = [line for line in passwd.read_text().splitlines() if f":{host.first + 1}:" not in line]
    passwd.write_text("\n".join((*others, *filter(None, [line]), "")))


TROUBLES = {
    "exempt": ("", ", exempt: [bob]"),
    "gone": ("", ""),
    "renamed": ("robert:x:{uid}:{uid}::/:/bin/sh", ""),
    "with another uid": ("bob:x:{other}:{other}::/:/bin/sh", ""),
    "of carol's uid": ("bob:x:{carol}:{carol}::/:/bin/sh", ""),
    "with an odd home": ("bob:x:{uid}:{uid}:,,,:~/\x80\x7f:/bin/sh", ""),
}


@pytest.mark.hostile
@pytest.mark.parametrize("before", [True, False], ids=["with a last good copy", "without"])
@pytest.mark.parametrize("what", TROUBLES)
def test_an_owner_in_trouble_costs_that_account_alone(view_host: ViewHost, what: str, before: bool) -> None:
    """Whatever the account has: a view, a quota, services, entries, jobs."""
    host = view_host.host
    config = host.etc / "config.yaml"
    host.account("alice", PLAIN)
    host.account("carol", PLAIN)
    if before:
        host.account("bob", FEATURES)
    view_host.paas("reconcile", code=None)
    host.account("bob", FEATURES)
    line, users = TROUBLES[what]
    config.write_text(
        config.read_text().replace(f"last_uid: {view_host.alice + 99}", f"last_uid: {view_host.alice + 99}{users}")
    )
    if what != "exempt":
        passwd = host.place / "passwd"
        others = [line for line in passwd.read_text().splitlines() if f":{view_host.bob}:" not in line]
        line = line.format(uid=view_host.bob, carol=view_host.carol, other=view_host.alice + 98)
        passwd.write_text("\n".join((*others, *filter(None, [line]), "")), encoding="latin-1")
    (Path(host.cgroups.root) / "users/alice/cgroup.freeze").write_text("1")
    for command in ("diff", "status", "coverage", "check"):
        no_traceback(view_host.paas(command, code=None))
    said = view_host.paas("reconcile", code=None)
    no_traceback(said)
    assert (Path(host.cgroups.root) / "users/alice/cgroup.freeze").read_text() == "0\n", said
    assert os.readlink(view_host.run_directory / f"doors/{view_host.alice}").endswith("users/alice/login")
    assert "an error of paas-isolate's own" not in said
    if what == "exempt":
        warned = [line for line in view_host.paas("check").splitlines() if line.startswith("accounts.d/bob.yaml:1:")]
        assert any("no service runs" in line and "has no view" in line for line in warned), warned
        assert "who is exempt" in view_host.paas("status", code=None)


@pytest.mark.parametrize("place", PLACES)
def test_an_error_of_ours_that_one_account_causes_costs_that_account_alone(
    host: TestHost, sleeper: Sleepers, place: str
) -> None:
    for name in ("alice", "bob", "carol"):
        host.account(name, PLAIN)
    assert host.run("reconcile").returncode == 0
    there, doors = host.tree(), sorted(os.listdir(host.place / "run/doors"))
    alice, bob = sleeper(uid=host.first).pid, sleeper(uid=host.first + 1).pid
    wait_for_uid(host.first, alice)
    wait_for_uid(host.first + 1, bob)
    for name in ("alice", "bob"):
        write(host, "1", f"users/{name}")
    host.account("bob", f"{PLAIN}peers: [carol]\n")
    broken = (str(Path(broken_place.__file__)), place)
    command = host.command("reconcile")
    at = command.index("-m")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        line = [*command[:at], *broken, *command[at + 2 : -1], *words]
        return subprocess.run(line, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()})

    for words in (("diff",), ("status",), ("status", "--json"), ("coverage",)):
        shown = run(*words)
        no_traceback(shown.stderr)
        assert "\x1b" not in shown.stderr
        assert shown.returncode in (0, 1, 3, 4), shown.stderr
        if words == ("status",):
            assert "alice" in shown.stdout and "carol" in shown.stdout
    done = run("reconcile")
    no_traceback(done.stderr)
    assert frozen(host, "users/alice") is False, done.stderr
    assert where(host.cgroups, alice) == "users/alice/other"
    if place not in ("telling", "using"):
        assert done.returncode == 1, done.stderr
        whose = "the doors" if place == "links" else "bob"
        assert f"{whose}| Traceback (most recent call last):" in done.stderr
        assert "ZeroDivisionError" in done.stderr
        assert "alice|" not in done.stderr and "carol|" not in done.stderr
    else:
        assert run("status").returncode == 1
    assert (host.tree(), sorted(os.listdir(host.place / "run/doors"))) == (there, doors)
    assert json.loads(run("reconcile", "--json").stdout).keys() >= {"broken", "kept"}
    assert host.run("reconcile").returncode == 0
    assert frozen(host, "users/bob") is False
    assert where(host.cgroups, bob) == "users/bob/other"


class BrokenDaemon(RunningDaemon):
    place = ""

    def start(self) -> subprocess.Popen[bytes]:
        command = self.host.command("daemon", "--interval", "1000")
        at = command.index("-m")
        broken = (str(Path(broken_place.__file__)), self.place) if self.place else command[at : at + 2]
        with open(self.log, "ab") as said:
            env = {**os.environ, "PYTHONPATH": os.getcwd()}
            return subprocess.Popen([*command[:at], *broken, *command[at + 2 :]], stdout=said, stderr=said, env=env)


@pytest.fixture
def daemon(host: TestHost, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RunningDaemon]:
    BrokenDaemon.place = getattr(request, "param", "")
    host.account("alice", PLAIN)
    begun = BrokenDaemon(host, tmp_path / "log")
    try:
        begun.says("create users/alice")
        wait_for(begun.rests, what="the first turns are done")
        yield begun
    finally:
        begun.process.kill()
        begun.process.wait()


def mended(host: TestHost) -> None:
    write(host, "1", "users/alice")
    wait_for(lambda: frozen(host, "users/alice") is False, what="alice's knob is put back")


@pytest.mark.hostile
def test_the_daemon_mends_the_others_when_an_owner_becomes_exempt(daemon: RunningDaemon, host: TestHost) -> None:
    host.account("bob", FEATURES)
    host.configure(", exempt: [bob]")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.says("bob.yaml.*who is exempt")
    mended(host)
    assert daemon.process.poll() is None
    no_traceback(daemon.log.read_text())


@pytest.mark.parametrize("daemon", [*PLACES], indirect=True)
def test_the_daemon_goes_on_whatever_is_raised_for_one(
    daemon: RunningDaemon, host: TestHost, sleeper: Sleepers
) -> None:
    host.account("bob", PLAIN)
    wait_for(lambda: frozen(host, "users/bob") is not None or "bob|" in daemon.log.read_text(), what="bob is tried")
    if frozen(host, "users/bob") is not None:
        write(host, "1", "users/bob")
        (host.place / "run/services/bob.job").touch()
    wait_for_uid(host.first + 1, sleeper(uid=host.first + 1).pid)
    mended(host)
    alice = sleeper(uid=host.first).pid
    wait_for(lambda: where(host.cgroups, alice) == "users/alice/other", what="alice's process is placed")
    host.account("alice", f"{PLAIN}suspended: true\n")
    wait_for(lambda: frozen(host, "users/alice"), what="alice's file is applied")
    time.sleep(0.2)  # long enough for what must not come
    assert daemon.process.poll() is None
    said = daemon.log.read_text()
    no_traceback(said)
    assert said.count("| Traceback") <= 12, "the same is told once"
