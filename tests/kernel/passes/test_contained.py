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
from tests.support.kernel.host import NO_LIMIT, Shop, wait_for_uid, where
from tests.support.kernel.processes import Sleepers
from tests.support.kernel.running_daemon import ALICE_UID, Resident, frozen, write
from tests.support.kernel.view_host import Sight
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
def shop(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> Shop:
    made = Shop(tmp_path_factory.mktemp("shop"), cgroups, first=ALICE_UID)
    decisions.save(str(made.place / "state"), Decisions(launcher=True))
    return made


def no_traceback(said: str) -> None:
    """But for ours, of which each line has the account's name."""
    assert not [line for line in said.splitlines() if line.startswith("Traceback")], said


def names_of_users(shop: Shop, line: str) -> None:
    """`line` is bob's in passwd; '' where he is gone."""
    passwd = shop.place / "passwd"
    others = [it for it in passwd.read_text().splitlines() if f":{shop.first + 1}:" not in it]
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
def test_an_owner_in_trouble_costs_that_account_alone(sight: Sight, what: str, before: bool) -> None:
    """Whatever the account has: a view, a quota, services, entries, jobs."""
    shop = sight.shop
    config = shop.etc / "config.yaml"
    shop.account("alice", PLAIN)
    shop.account("carol", PLAIN)
    if before:
        shop.account("bob", FEATURES)
    sight.paas("reconcile", code=None)
    shop.account("bob", FEATURES)
    line, users = TROUBLES[what]
    config.write_text(
        config.read_text().replace(f"last_uid: {sight.alice + 99}", f"last_uid: {sight.alice + 99}{users}")
    )
    if what != "exempt":
        passwd = shop.place / "passwd"
        others = [it for it in passwd.read_text().splitlines() if f":{sight.bob}:" not in it]
        line = line.format(uid=sight.bob, carol=sight.carol, other=sight.alice + 98)
        passwd.write_text("\n".join((*others, *filter(None, [line]), "")), encoding="latin-1")
    (Path(shop.cgroups.root) / "users/alice/cgroup.freeze").write_text("1")
    for command in ("diff", "status", "coverage", "check"):
        no_traceback(sight.paas(command, code=None))
    said = sight.paas("reconcile", code=None)
    no_traceback(said)
    assert (Path(shop.cgroups.root) / "users/alice/cgroup.freeze").read_text() == "0\n", said
    assert os.readlink(sight.run_directory / f"doors/{sight.alice}").endswith("users/alice/login")
    assert "an error of paas-isolate's own" not in said
    if what == "exempt":
        warned = [line for line in sight.paas("check").splitlines() if line.startswith("accounts.d/bob.yaml:1:")]
        assert any("no service runs" in line and "has no view" in line for line in warned), warned
        assert "who is exempt" in sight.paas("status", code=None)


@pytest.mark.parametrize("place", PLACES)
def test_an_error_of_ours_that_one_account_causes_costs_that_account_alone(
    shop: Shop, sleeper: Sleepers, place: str
) -> None:
    for name in ("alice", "bob", "carol"):
        shop.account(name, PLAIN)
    assert shop.run("reconcile").returncode == 0
    there, doors = shop.tree(), sorted(os.listdir(shop.place / "run/doors"))
    alice, bob = sleeper(uid=shop.first).pid, sleeper(uid=shop.first + 1).pid
    wait_for_uid(shop.first, alice), wait_for_uid(shop.first + 1, bob)
    for name in ("alice", "bob"):
        write(shop, "1", f"users/{name}")
    shop.account("bob", f"{PLAIN}peers: [carol]\n")
    broken = (str(Path(broken_place.__file__)), place)
    command = shop.command("reconcile")
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
    assert frozen(shop, "users/alice") is False, done.stderr
    assert where(shop.cgroups, alice) == "users/alice/other"
    if place not in ("telling", "using"):
        assert done.returncode == 1, done.stderr
        whose = "the doors" if place == "links" else "bob"
        assert f"{whose}| Traceback (most recent call last):" in done.stderr
        assert "ZeroDivisionError" in done.stderr
        assert "alice|" not in done.stderr and "carol|" not in done.stderr
    else:
        assert run("status").returncode == 1
    assert (shop.tree(), sorted(os.listdir(shop.place / "run/doors"))) == (there, doors)
    assert json.loads(run("reconcile", "--json").stdout).keys() >= {"broken", "kept"}
    assert shop.run("reconcile").returncode == 0
    assert frozen(shop, "users/bob") is False
    assert where(shop.cgroups, bob) == "users/bob/other"


class Broken(Resident):
    place = ""

    def start(self) -> subprocess.Popen[bytes]:
        command = self.shop.command("daemon", "--interval", "1000")
        at = command.index("-m")
        broken = (str(Path(broken_place.__file__)), self.place) if self.place else command[at : at + 2]
        with open(self.log, "ab") as said:
            env = {**os.environ, "PYTHONPATH": os.getcwd()}
            return subprocess.Popen([*command[:at], *broken, *command[at + 2 :]], stdout=said, stderr=said, env=env)


@pytest.fixture
def resident(shop: Shop, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Resident]:
    Broken.place = getattr(request, "param", "")
    shop.account("alice", PLAIN)
    begun = Broken(shop, tmp_path / "log")
    try:
        begun.says("create users/alice")
        wait_for(begun.rests, what="the first turns are done")
        yield begun
    finally:
        begun.process.kill()
        begun.process.wait()


def mended(shop: Shop) -> None:
    write(shop, "1", "users/alice")
    wait_for(lambda: frozen(shop, "users/alice") is False, what="alice's knob is put back")


@pytest.mark.hostile
def test_the_daemon_mends_the_others_when_an_owner_becomes_exempt(resident: Resident, shop: Shop) -> None:
    shop.account("bob", FEATURES)
    shop.configure(", exempt: [bob]")
    resident.process.send_signal(signal.SIGHUP)
    resident.says("bob.yaml.*who is exempt")
    mended(shop)
    assert resident.process.poll() is None
    no_traceback(resident.log.read_text())


@pytest.mark.parametrize("resident", [*PLACES], indirect=True)
def test_the_daemon_goes_on_whatever_is_raised_for_one(resident: Resident, shop: Shop, sleeper: Sleepers) -> None:
    shop.account("bob", PLAIN)
    wait_for(lambda: frozen(shop, "users/bob") is not None or "bob|" in resident.log.read_text(), what="bob is tried")
    if frozen(shop, "users/bob") is not None:
        write(shop, "1", "users/bob")
        (shop.place / "run/services/bob.job").touch()
    wait_for_uid(shop.first + 1, sleeper(uid=shop.first + 1).pid)
    mended(shop)
    alice = sleeper(uid=shop.first).pid
    wait_for(lambda: where(shop.cgroups, alice) == "users/alice/other", what="alice's process is placed")
    shop.account("alice", f"{PLAIN}suspended: true\n")
    wait_for(lambda: frozen(shop, "users/alice"), what="alice's file is applied")
    time.sleep(0.2)  # long enough for what must not come
    assert resident.process.poll() is None
    said = resident.log.read_text()
    no_traceback(said)
    assert said.count("| Traceback") <= 12, "the same is told once"
