"""A user entry changes: another name, another person, another uid. Running processes keep their limits or end, and
nobody gets into another's account."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas_isolate.linux.process import procfs
from tests.support.kernel.host import over_sbin
from tests.support.kernel.pam_session import ENTERS, REFUSED
from tests.support.kernel.view_host import PRIVATE, PYTHON, ViewHost
from tests.support.paths import HOSTILE
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

FORKS = HOSTILE / "forks.py"
WORKER = "services: {worker: {run: exec sleep 1000, limits: {memory: {kill: process}}}}\n"
ENDS = "limits: {memory: {kill: process}}\n"


class IdentityHost(ViewHost):
    """The same with homes, services, and user entries that change."""

    @property
    def etc(self) -> Path:
        """Where passwd lies."""
        own = self.host.place / "machine"
        return own if own.exists() else self.host.place

    def own_etc(self) -> None:
        """A whole directory, for who listens to what changes in it."""
        own = self.host.place / "machine"
        steps = f"cp -a /etc {own} && umount /etc/passwd && cp {self.host.place}/passwd {own}/passwd"
        done = self.inside("sh", "-c", f"{steps} && mount --bind {own} /etc")
        assert done.returncode == 0, done.stderr

    def become(self, *entries: str, gone: str = "") -> None:
        """`entries` are `name:uid:home` below the place; `gone` is a user whose line is left out."""
        passwd = self.etc / "passwd"
        lines = [line for line in passwd.read_text().splitlines(True) if not line.startswith(f"{gone}:")]
        for entry in entries:
            name, uid, home = entry.split(":")
            (self.host.place / home).mkdir(exist_ok=True)
            os.chown(self.host.place / home, int(uid), int(uid))
            lines.append(f"{name}:x:{uid}:{uid}::{self.host.place}/{home}:/bin/sh\n")
        if self.etc == self.host.place:
            passwd.write_text("".join(lines))  # it is bound over the machine's
            return
        (self.etc / "passwd+").write_text("".join(lines))
        (self.etc / "passwd+").rename(passwd)

    def write(self, name: str, text: str = "") -> None:
        self.host.account(name, ENDS + text)

    def members(self, leaf: str) -> set[int]:
        return set(self.host.cgroups.pids(f"users/{leaf}"))

    def runs_as(self, uid: int, leaf: str) -> subprocess.Popen[str]:
        """A process of that uid in a leaf, however it came there; it is there when this returns."""
        enter = f"open('{self.host.cgroups.root}/users/{leaf}/cgroup.procs', 'w').write('0')"
        become = f"os.setgroups([]); os.setresgid({uid}, {uid}, {uid}); os.setresuid({uid}, {uid}, {uid})"
        line = [*self._nsenter, *PYTHON, f"import os, time; {enter}; {become}; print(flush=True); time.sleep(1000)"]
        process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd="/")
        assert process.stdout and process.stdout.readline()
        return process

    def doors(self) -> dict[str, str]:
        found = (self.run_directory / "doors").iterdir()
        return {entry.name: os.readlink(entry).rpartition("/users/")[2] for entry in found if entry.is_symlink()}

    @contextmanager
    def daemon(self, log: Path) -> Iterator[None]:
        """One that has looked at everything."""
        with open(log, "ab") as said:
            process = subprocess.Popen(self.command("daemon", "--interval", "1000"), stdout=said, stderr=said)
        try:
            self.write("bob")
            wait_for(lambda: self.host.cgroups.exists("users/bob/other"), what="the daemon has heard of a new account")
            yield
        finally:
            process.terminate()
            process.wait(30)

    def login(self, name: str) -> tuple[int, str, str]:
        """PAM's answer, the leaf, and what its /tmp/whose says."""
        answer, _, cgroup, *whose = self.session(name)
        return int(answer), cgroup.rpartition("/users/")[2] if "/users/" in cgroup else "", "".join(whose)

    def accounts(self) -> dict[str, str]:
        """The state of each, as status tells it."""
        told = json.loads(self.paas("status", "--json"))["cgroups"]
        return {
            entry["name"]: entry["state"]
            for entry in told
            if entry["path"].count("/") == 1 and entry["path"] != "users"
        }


@contextmanager
def begun(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.kill()  # what it has forked may live, and ends with the tree
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout)):
            pipe.close()


@pytest.fixture
def town(view_host: ViewHost, keeper: Path) -> Iterator[IdentityHost]:
    view_host.__class__ = IdentityHost
    assert isinstance(view_host, IdentityHost)
    programs = view_host.host.place / "sbin"
    programs.mkdir()
    for program in (keeper, view_host.launcher):
        shutil.copy(program, programs)
    view_host.inside(*over_sbin(programs))
    view_host.become(f"alice:{view_host.alice}:alice", gone="alice")
    view_host.write("alice", PRIVATE + WORKER)
    view_host.paas("reconcile")
    assert view_host.asks("alice", "echo alice >/tmp/whose") == ""
    with begun(view_host.starts("alice", "sleep", "1000")):
        wait_for(lambda: view_host.members("alice/login"), what="alice's session is there")
        wait_for(lambda: view_host.members("alice/worker"), what="her service is there")
        yield view_host


def ended(town: IdentityHost, *leaves: str) -> None:
    wait_for(lambda: not any(map(town.members, leaves)), what=f"nothing lives in {leaves}")


def run_on(town: IdentityHost) -> Callable[[], bool]:
    """Whether what runs now still runs, where it does."""
    before = {leaf: town.members(leaf) for leaf in ("alice/login", "alice/worker")}
    return lambda: before == {leaf: town.members(leaf) for leaf in before}


def test_a_renamed_user_keeps_place_and_services_and_is_told_what_to_write(town: IdentityHost) -> None:
    stays = run_on(town)
    town.become(f"dave:{town.alice}:alice", gone="alice")
    told = town.paas("reconcile", code=4)
    assert f"uid {town.alice} is now called dave; write users: [dave]" in told
    assert "move process" not in told
    assert stays()
    assert town.login("dave") == (ENTERS, "alice/login", "alice")
    assert town.accounts() == {"alice": "kept"}
    assert "nothing differs" in town.paas("diff")
    assert "dave" in town.paas("exec", "alice/login", "--", "/usr/bin/id", "-un")
    for pid in town.members("alice/worker"):
        os.kill(pid, 9)
    ended(town, "alice/worker")
    wait_for(lambda: "start alice/worker" in town.paas("reconcile", code=4), what="worker is started again")
    assert town.members("alice/worker")

    town.write("alice", "users: [dave]\n" + PRIVATE)
    assert "move process" not in town.paas("reconcile")
    assert town.login("dave") == (ENTERS, "alice/login", "alice")


@pytest.mark.hostile
def test_a_new_user_with_an_old_uid_gets_nothing_of_the_old_customers(town: IdentityHost) -> None:
    """dave's file comes with his user entry; alice's is forgotten, and she runs on."""
    with begun(town.starts("alice", *PYTHON, FORKS.read_text())):
        wait_for(lambda: len(town.members("alice/login")) > 1, what="what forks is there")
        town.become(f"dave:{town.alice}:dave", gone="alice")
        town.write("dave")
        told = town.paas("reconcile", code=4)
    assert f"accounts.d/alice.yaml: users is 'alice', who is no user of this machine any more: uid {town.alice}" in told
    assert "is dave, of accounts.d/dave.yaml" in told
    ended(town, "alice/login", "alice/worker")
    assert not town.members("dave/other"), "nothing of hers has become his"
    assert town.doors() == {str(town.alice): "dave/login"}
    assert town.login("dave") == (ENTERS, "dave/login", "")
    assert (town.host.cgroups.read("users/alice", "cgroup.freeze"), town.accounts()["alice"]) == ("0", "kept")
    assert "nothing differs" in town.paas("diff")
    (town.host.etc / "accounts.d/alice.yaml").unlink()
    town.paas("reconcile")
    assert town.host.cgroups.children("users") == ["dave"]


@pytest.mark.hostile
def test_other_users_of_the_account_run_on_when_one_uid_is_anothers(town: IdentityHost) -> None:
    town.become(f"al:{town.alice + 50}:al")
    town.write("alice", "users: [alice, al]\n")
    town.paas("reconcile")
    with begun(town.starts("al", "sleep", "1000")):
        wait_for(lambda: len(town.members("alice/login")) == 2, what="both are there")
        (pid,) = (pid for pid in town.members("alice/login") if procfs.effective_uid(pid) == town.alice + 50)
        town.become(f"dave:{town.alice}:dave", gone="alice")
        town.write("dave")
        town.paas("reconcile", code=4)
        assert town.members("alice/login") == {pid}
        assert town.doors() == {str(town.alice): "dave/login", str(town.alice + 50): "alice/login"}


@pytest.mark.hostile
def test_a_user_who_may_be_another_person_is_refused_until_confirmed(town: IdentityHost) -> None:
    """Without an account of their own, and with another home than alice had."""
    stays = run_on(town)
    town.become(f"dave:{town.alice}:dave", gone="alice")
    told = town.paas("reconcile", code=4)
    assert f"uid {town.alice} is now called dave, who has another home: logins are refused" in told
    assert town.doors() == {str(town.alice): "closed/alice"}
    assert town.login("dave")[0] == REFUSED
    assert stays(), "limits, place and services are kept"
    for pid in town.members("alice/worker"):
        os.kill(pid, 9)
    ended(town, "alice/worker")
    time.sleep(1.1)  # from when on a start would be due
    assert "start" not in town.paas("reconcile", code=4), "no program of alice's begins as dave"

    (town.host.etc / "accounts.d/alice.yaml").unlink()
    town.paas("reconcile", code=4)
    assert town.login("dave")[0] == REFUSED, "while the session of alice's lives"
    for pid in town.members("alice/login"):
        os.kill(pid, 9)
    ended(town, "alice/login")
    town.paas("reconcile")
    assert town.doors() == {}
    assert town.login("dave") == (ENTERS, "", "")


@pytest.mark.hostile
def test_no_door_of_an_account_whose_file_is_gone_too_is_left_open(town: IdentityHost) -> None:
    town.become(f"dave:{town.alice}:dave", gone="alice")
    (town.host.etc / "accounts.d/alice.yaml").unlink()
    told = town.paas("reconcile", code=4)
    assert "alice is not removed: waits until its processes have ended" in told
    assert town.members("alice/login")
    assert town.doors() == {str(town.alice): "closed/alice"}
    assert town.login("dave")[0] == REFUSED


def test_two_names_of_one_uid_are_one_customer(town: IdentityHost) -> None:
    """As FTP accounts have them."""
    stays = run_on(town)
    town.become(f"ftp:{town.alice}:alice")
    town.paas("reconcile")
    assert town.login("ftp") == (ENTERS, "alice/login", "alice")
    text = PRIVATE + WORKER
    town.write("alice", "users: [alice, ftp]\n" + text)
    town.paas("reconcile")
    town.write("alice", text)
    town.write("bob", "users: [bob, ftp]\n")
    told = town.paas("reconcile", code=4)
    assert told.count("name both in one") == 1
    assert f"another name of 'alice' (uid {town.alice}), who belongs to accounts.d/alice.yaml; name both in one" in told
    assert stays()
    assert town.login("ftp") == (ENTERS, "alice/login", "alice")


def test_a_name_that_cannot_be_looked_up_keeps_everything(town: IdentityHost) -> None:
    stays, doors = run_on(town), town.doors()
    town.become(gone="alice")
    told = town.paas("reconcile", code=4)
    assert f"cannot be resolved now; keeps uid {town.alice}" in told
    assert stays()
    assert town.doors() == doors


def test_a_name_that_moves_to_another_uid_leaves_what_runs_where_it_is(town: IdentityHost) -> None:
    town.become(gone="carol")
    before = town.members("alice/login")
    town.become(f"alice:{town.carol}:alice", gone="alice")
    town.write("alice")
    told = town.paas("reconcile")
    assert "move process" not in told
    assert town.members("alice/login") == before
    assert town.doors() == {str(town.carol): "alice/login"}
    assert town.login("alice") == (ENTERS, "alice/login", "")
    assert "nothing differs" in town.paas("diff")


@pytest.mark.hostile
@pytest.mark.parametrize("policy", ["leave", "penalty"])
def test_no_uid_of_the_range_comes_out_of_the_tree(town: IdentityHost, policy: str) -> None:
    """alice becomes another user, who has no account; then that one's policy changes."""
    config = town.host.etc / "config.yaml"
    text = config.read_text()
    config.write_text(re.sub("(last_uid: [0-9]+)", rf"\1, without_account: {policy}", text))
    uid = town.alice + 50
    with begun(town.runs_as(uid, "alice/login")):
        there = {pid for pid in town.members("alice/login") if procfs.effective_uid(pid) == uid}
        assert there
        town.paas("reconcile")
        place = "users/alice/login" if policy == "leave" else "penalty"
        assert there <= set(town.host.cgroups.pids(place))
        config.write_text(text)
        town.paas("reconcile")
        assert there <= set(town.host.cgroups.pids(place))
        assert town.members("alice/login") - there, "alice's own session runs on"


@pytest.mark.hostile
def test_the_daemon_closes_the_door_as_soon_as_the_user_entry_changes(town: IdentityHost, tmp_path: Path) -> None:
    town.own_etc()
    with town.daemon(tmp_path / "log"):
        town.become(f"dave:{town.alice}:dave", gone="alice")
        wait_for(lambda: town.doors().get(str(town.alice)) == "closed/alice", what="the door is closed")
        assert town.login("dave")[0] == REFUSED
        town.write("dave")
        wait_for(lambda: town.doors().get(str(town.alice)) == "dave/login", what="it is dave's")
        ended(town, "alice/login", "alice/worker")
        assert town.login("dave") == (ENTERS, "dave/login", "")
