"""An account whose file is gone is removed with its last process; many at once only after confirmation."""

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guest.machine import ETC, TREE, accounts, cgroup_of, is_alive, knob
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customers, Sell, Specs
from tests.support.waiting import wait_for

FOUR = ("alice", "bob", "carol", "dave")


@pytest.fixture
def four(sell: Sell, paas: Paas) -> None:
    for name in FOUR:
        sell(name, limits={"pids": 40})
    paas("reconcile")
    assert accounts() == set(FOUR)


def test_it_keeps_its_limits_while_a_process_lives_and_is_removed_after(sell: Sell, spec: Specs, paas: Paas) -> None:
    pid = sell("alice", limits={"memory": "64M", "pids": 40}).sleeps()
    sell("bob")
    paas("reconcile")

    spec.withdraw("alice")
    for _ in range(2):
        answer = paas("reconcile", code=4)
        assert f"alice is not removed: waits until its processes have ended: {pid}\n" in answer.err
    assert (knob("users/alice", "memory.max"), knob("users/alice", "pids.max")) == ("67108864", "40")
    assert is_alive(pid)
    assert cgroup_of(pid) == "users/alice/other"
    told = paas("status").out
    assert re.search(r"^alice +leaving ", told, re.M)
    assert f"waits until its processes have ended: {pid}" in told

    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid), what="the process has ended")
    paas("reconcile")

    assert accounts() == {"bob"}


def test_it_comes_back_with_its_file(sell: Sell, spec: Specs, paas: Paas) -> None:
    alice = sell("alice", limits={"pids": 40})
    pid = alice.sleeps()
    paas("reconcile")
    spec.withdraw("alice")
    paas("reconcile", code=4)

    sell("alice", limits={"pids": 50})
    paas("reconcile")

    assert knob("users/alice", "pids.max") == "50"
    assert cgroup_of(pid) == "users/alice/other"


def test_a_new_name_keeps_the_cgroup_and_what_lives_in_it(sell: Sell, spec: Specs, paas: Paas) -> None:
    alice = sell("alice", limits={"pids": 40})
    paas("reconcile")
    pid = alice.sleeps("users/alice/login")
    made = (TREE / "users/alice").stat().st_ino

    spec.withdraw("alice")
    sell("shop", users=("alice",), renamed_from="alice", limits={"pids": 50})
    paas("reconcile")

    assert accounts() == {"alice"}
    assert (TREE / "users/alice").stat().st_ino == made
    assert knob("users/alice", "pids.max") == "50"
    assert cgroup_of(pid) == "users/alice/login"
    assert re.search(r"^shop +ok ", paas("status").out, re.M)


def test_a_new_user_with_the_uid_of_an_old_one_inherits_nothing(
    sell: Sell, spec: Specs, customer: Customers, paas: Paas
) -> None:
    alice = sell("alice", limits={"pids": 40, "memory": "64M"})
    paas("reconcile")
    paas("freeze", "alice")
    customer.forget(alice)
    dora = customer("dora", "--uid", str(alice.uid))
    pid = dora.sleeps()

    answer = paas("reconcile", code=4)  # her account is still written
    assert "'alice'" in answer.err and "dora" in answer.err
    assert cgroup_of(pid) == "penalty", "while nobody can tell who it is"

    spec.withdraw("alice")
    spec.sell("dora", limits={"pids": 50})
    paas("reconcile")
    assert accounts() == {"dora"}
    assert cgroup_of(pid) == "users/dora/other"
    assert knob("users/dora", "pids.max") == "50"
    assert knob("users/dora", "memory.max") == str(1 << 30)  # that of the plan
    assert knob("users/dora", "cgroup.freeze") == "0"
    assert re.search(r"^dora +ok ", paas("status").out, re.M)


def test_three_go_without_a_question(four: None, spec: Specs, paas: Paas) -> None:
    for name in FOUR[:3]:
        spec.withdraw(name)

    paas("reconcile")

    assert accounts() == {"dave"}


def test_four_of_four_go_only_when_that_is_meant(four: None, spec: Specs, paas: Paas) -> None:
    for name in FOUR:
        spec.withdraw(name)

    answer = paas("reconcile", code=4)
    assert "4 of 4 accounts would be removed at once; confirm with: paas-isolate reconcile --remove" in answer.err
    assert accounts() == set(FOUR)
    assert {knob(f"users/{name}", "pids.max") for name in FOUR} == {"40"}

    paas("reconcile", "--remove")
    assert accounts() == set()


def test_once_meant_the_ones_that_wait_need_not_be_confirmed_again(
    four: None, sell: Sell, spec: Specs, paas: Paas
) -> None:
    pid = sell("alice").sleeps("users/alice/other")
    for name in FOUR:
        spec.withdraw(name)
    paas("reconcile", "--remove", code=4)
    assert accounts() == {"alice"}

    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid), what="the process has ended")
    paas("reconcile")

    assert accounts() == set()


def gone(directory: Path) -> None:
    shutil.rmtree(directory)


def a_file(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.write_text("")


@pytest.mark.parametrize("accident", [gone, a_file], ids=["missing", "unreadable"])
def test_without_accounts_d_none_is_removed(four: None, paas: Paas, accident: Callable[[Path], None]) -> None:
    accident(ETC / "accounts.d")

    answer = paas("reconcile", code=4)

    assert "accounts.d" in answer.err
    assert accounts() == set(FOUR)
    assert {knob(f"users/{name}", "pids.max") for name in FOUR} == {"40"}
