"""`paas-isolate pam`: installs the module into the login stacks, removes it, and refuses mistakes."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.pam import auth_update
from paas_isolate.linux.pam.stack_files import Files
from tests.support.guest.machine import ETC, TREE
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Customers, Specs
from tests.support.waiting import wait_for

UNFIT, DIFFERS, WRONG_USAGE = 5, 3, 2
CONFIG = ETC / "config.yaml"
REFUSED = "Logins are not possible at the moment"


@pytest.fixture(autouse=True)
def pam_files(empty: None) -> Iterator[Files]:
    """The files that logins depend on, which are as they were after every test."""
    before = auth_update.keep()
    yield before
    if auth_update.keep() != before:
        Paas()("pam", "remove")
    assert auth_update.keep() == before


@pytest.fixture
def alice(sell: Callable[..., Customer]) -> Customer:
    return sell("alice", limits={"pids": 100})


def su(user: str, command: str = "cat /proc/self/cgroup") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["su", user, "-c", command], capture_output=True, text=True, timeout=60)


def where(user: str) -> str:
    """The cgroup of a login of `user`, in words of the tree where it is in it."""
    path = su(user).stdout.strip().removeprefix("0::")
    return path.removeprefix(f"{str(TREE).removeprefix('/sys/fs/cgroup')}/")


def test_logins_land_in_the_account_and_the_way_back_leaves_nothing(
    alice: Customer, paas: Paas, pam_files: Files
) -> None:
    paas("pam", "status", code=DIFFERS)
    assert not where(alice.name).startswith("users/")
    done = paas("pam", "install")
    assert done.out.count("\nok ") == 8  # root and a customer, two stacks, before and after
    assert where(alice.name) == f"users/{alice.name}/login"
    assert not where("root").startswith("users/")
    told = paas("pam", "status", "--json").json
    assert (told["complete"], told["options_agree"], len(told["stacks"])) == (True, True, 2)
    again = auth_update.keep()
    config = CONFIG.read_text()
    try:
        for was, now in (('exempt: ["@sudo"', 'exempt: ["nobody", "@sudo"'), ("last_uid: 59999", "last_uid: 59998")):
            assert was in config
            CONFIG.write_text(config.replace(was, now))
            assert "the options are not what config.yaml says now" in paas("pam", "status", code=DIFFERS).out
    finally:
        CONFIG.write_text(config)
    paas("pam", "status")
    paas("pam", "install")
    assert auth_update.keep() == again
    paas("pam", "remove")
    assert auth_update.keep() == pam_files
    assert not where(alice.name).startswith("users/")


def test_a_session_that_is_tried_tells_where_it_landed_and_how(alice: Customer, paas: Paas) -> None:
    paas("pam", "install")
    told = paas("pam", "test", alice.name, "--json").json
    assert told["cgroup"] == f"users/{alice.name}/login"
    assert told["line"].startswith("/etc/pam.d/common-session:")
    assert 0 < told["microseconds"] < 10_000_000
    assert not (TREE / f"users/{alice.name}/login/cgroup.procs").read_text()
    paas("pam", "test", "nosuchuser", code=WRONG_USAGE)


def test_entry_is_tried_by_service(sell: Callable[..., Customer], paas: Paas) -> None:
    bob = sell("bob", services={"jobs": {"entry": ["cron"]}})
    paas("pam", "install")
    for service, leaf in (("cron", "jobs"), ("sshd", "login")):
        told = paas("pam", "test", bob.name, "--service", service, "--json").json
        assert (told["cgroup"], told["wrong"]) == (f"users/{bob.name}/{leaf}", "")


def test_who_is_frozen_is_no_trial_of_the_logins(alice: Customer, sell: Callable[..., Customer], paas: Paas) -> None:
    bob = sell("bob", limits={"pids": 100})
    paas("reconcile")
    paas("freeze", alice.name)
    try:
        paas("pam", "install")
        assert where(bob.name) == f"users/{bob.name}/login"
        assert "is refused: This account is suspended" in paas("pam", "test", alice.name).out
    finally:
        paas("thaw", alice.name)


def test_a_suspended_account_is_refused_in_words(alice: Customer, paas: Paas, spec: Specs) -> None:
    paas("pam", "install")
    spec.sell(alice.name, suspended=True)
    paas("reconcile")
    done = paas("pam", "test", alice.name)
    assert "is refused: This account is suspended" in done.out
    assert "suspended" in su(alice.name).stderr


def test_without_the_module_customers_are_refused_and_root_is_not(alice: Customer, paas: Paas) -> None:
    paas("pam", "install")
    module = Path(auth_update.module_file())
    aside = module.with_suffix(".aside")
    module.rename(aside)
    try:
        assert su("root", "id -u").stdout == "0\n"
        assert su(alice.name).returncode != 0
        tried = paas("pam", "test", alice.name, code=1)
        assert REFUSED in tried.out
        paas("pam", "remove")  # a package that is half removed
        assert "apt-get install --reinstall libpam-paas-isolate" in paas("pam", "install", code=UNFIT).err
        assert not auth_update.is_on()
    finally:
        aside.rename(module)


@pytest.mark.parametrize("by", ["sudo", "exempt by name"])
def test_an_administrator_who_would_be_confined_is_told(
    customer: Customers, spec: Specs, paas: Paas, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    ops = customer("ops")
    monkeypatch.setenv("SUDO_UID", str(ops.uid))
    if by == "sudo":
        done = paas("pam", "install", code=UNFIT)
        assert f"you came in by sudo as {ops.name}" in done.err
        assert not auth_update.is_on()
    else:
        spec.config(users={"exempt": [ops.name]})
        done = paas("pam", "install")
        assert f"and {ops.name}\n" in done.out
        assert f"user in {ops.name}\n" in Path("/etc/pam.d/common-session").read_text()


def test_a_stack_that_was_changed_by_hand_stays_as_it_is(alice: Customer, paas: Paas) -> None:
    path = Path("/etc/pam.d/common-session")
    before = path.read_bytes()
    path.write_bytes(before.replace(b"session\toptional\tpam_systemd.so", b"session required pam_limits.so"))
    edited = auth_update.keep()
    try:
        done = paas("pam", "install", code=UNFIT)
        assert "Local modifications" in done.err
        assert auth_update.keep() == edited
    finally:
        path.write_bytes(before)


def test_what_does_not_work_afterwards_is_put_back(
    alice: Customer, paas: Paas, pam_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that makes other stacks of the machine than it made in rehearsal: root's session does not open."""
    tool = Path("/root/fake/pam-auth-update")
    tool.parent.mkdir(exist_ok=True)
    deny = "0,/pam_succeed_if/s/^session.*pam_succeed_if/session requisite pam_deny.so\\n&/"
    spoil = f"sed -i '{deny}' /etc/pam.d/common-session"
    tool.write_text(f'#!/bin/sh\n/usr/sbin/pam-auth-update "$@"\ncase $* in *--root*) ;; *) {spoil} ;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin")
    done = paas("pam", "install", code=UNFIT)
    assert "a session of root through common-session: does not open" in done.err
    assert auth_update.keep() == pam_files


def test_what_nobody_confirms_takes_itself_back(alice: Customer, paas: Paas, pam_files: Files) -> None:
    done = paas.installed("pam", "install", "--confirm", "0.5")  # it is what the timer runs
    assert done.code == 0, done.err
    assert "paas-isolate pam confirm" in done.out
    wait_for(lambda: not auth_update.is_on(), what="the module is out of the stacks again", deadline=120)
    wait_for(
        lambda: not Path("/etc/systemd/system/paas-isolate-pam-revert.timer").exists(), what="its timer is gone too"
    )
    assert auth_update.keep() == pam_files
    paas("pam", "install", "--confirm", "60")
    assert paas("pam", "confirm").out == "confirmed: it stays switched on\n"
    assert paas("pam", "confirm").out == "nothing waits for a confirmation\n"
    assert auth_update.is_on()


def test_sessions_that_are_open_stay_open(alice: Customer, paas: Paas) -> None:
    paas("pam", "install")
    sessions = [
        subprocess.Popen(
            ["su", alice.name, "-c", "read line; echo $line"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(20)
    ]
    leaf = TREE / f"users/{alice.name}/login/cgroup.procs"
    wait_for(lambda: len(leaf.read_text().split()) >= 20, what="all are in the leaf", deadline=60)
    paas("pam", "remove")
    assert [session.communicate(b"still here\n", timeout=60)[0] for session in sessions] == [b"still here\n"] * 20
