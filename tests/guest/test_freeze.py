"""The orders freeze, thaw and kill, and the key `suspended`."""

import time

import pytest

from tests.support.guest.machine import cgroup_of, figures, is_alive, knob
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Sell, Specs, hears
from tests.support.waiting import wait_for


def stands_still(path: str) -> bool:
    """Nothing below has had a moment of CPU time while we looked."""
    before = figures(path, "cpu.stat")["usage_usec"]
    time.sleep(0.3)  # what is used meanwhile is measured
    return figures(path, "cpu.stat")["usage_usec"] == before


def is_frozen(path: str) -> bool:
    return figures(path, "cgroup.events")["frozen"] == 1


@pytest.fixture
def busy(sell: Sell, paas: Paas) -> Customer:
    """An account with two services, each with a program that uses all CPU time it gets."""
    services = {"web": {"limits": {"cpu": "10%"}}, "worker": {"limits": {"cpu": "10%"}}}
    alice = sell("alice", services=services)
    paas("reconcile")
    alice.burns("users/alice/web")
    alice.burns("users/alice/worker")
    return alice


def test_a_frozen_account_stands_still_through_reconciles_until_thaw(busy: Customer, paas: Paas) -> None:
    paas("freeze", "alice")
    wait_for(lambda: is_frozen("users/alice"), what="all of it is frozen")
    assert stands_still("users/alice")

    assert paas("reconcile").out == "nothing to do\n"
    assert stands_still("users/alice")
    assert "alice   frozen" in paas("status").out

    paas("thaw", "alice")
    assert not stands_still("users/alice/web")
    assert not stands_still("users/alice/worker")
    assert [process.poll() for process in busy.started] == [None, None]


def test_a_frozen_service_leaves_the_rest_of_the_account_running(busy: Customer, paas: Paas) -> None:
    paas("freeze", "alice/web")
    wait_for(lambda: is_frozen("users/alice/web"), what="the service is frozen")
    paas("reconcile")

    assert stands_still("users/alice/web")
    assert not stands_still("users/alice/worker")

    paas("thaw", "alice/web")
    assert not stands_still("users/alice/web")


def test_a_stray_of_a_frozen_account_is_frozen_with_it(busy: Customer, paas: Paas) -> None:
    paas("freeze", "alice")
    stray = busy.runs("while :; do :; done").pid
    paas("reconcile")

    assert cgroup_of(stray) == "users/alice/other"
    wait_for(lambda: is_frozen("users/alice/other"), what="it is frozen")


def test_what_was_thawed_by_hand_is_frozen_again(busy: Customer, paas: Paas) -> None:
    paas("freeze", "alice")
    with open("/sys/fs/cgroup/paas.slice/paas-tree.service/users/alice/cgroup.freeze", "w") as knob_file:
        knob_file.write("0")

    paas("reconcile")

    wait_for(lambda: is_frozen("users/alice"), what="it is frozen")


def test_a_freeze_follows_a_new_name_and_is_not_inherited(busy: Customer, spec: Specs, paas: Paas) -> None:
    paas("freeze", "alice/web")
    spec.withdraw("alice")
    spec.sell("alicia", users=("alice",), renamed_from="alice", services={"web": {}, "worker": {}})
    paas("reconcile")
    wait_for(lambda: is_frozen("users/alice/web"), what="the service is frozen as before")
    assert not is_frozen("users/alice/worker")

    spec.withdraw("alicia")
    spec.sell("alizia", users=("alice",), renamed_from="alicia", services={"web": {}, "worker": {}})
    paas("reconcile")
    assert is_frozen("users/alice/web")

    spec.withdraw("alizia")
    paas("reconcile", code=4)  # it waits for its processes, one of them frozen
    assert is_frozen("users/alice/web")
    for process in busy.started:
        process.kill()
    wait_for(lambda: paas("reconcile", code=None).code == 0, what="the account is gone")
    spec.sell("alice", services={"web": {}})
    paas("reconcile")
    assert not is_frozen("users/alice/web")


def test_a_suspended_account_stands_still_and_loses_nothing(sell: Sell, busy: Customer, paas: Paas) -> None:
    services: dict[str, dict[str, object]] = {"web": {}, "worker": {}}
    sell("alice", services=services, suspended=True)
    paas("reconcile")
    wait_for(lambda: is_frozen("users/alice"), what="all of it is frozen")
    assert stands_still("users/alice")
    assert "alice   suspended" in paas("status").out
    paas("thaw", "alice")  # that is not what stopped it
    assert is_frozen("users/alice")

    sell("alice", services=services, suspended=False)
    paas("reconcile")

    assert not stands_still("users/alice")
    assert [process.poll() for process in busy.started] == [None, None]


POLITE = "trap 'echo asked; exit 3' TERM; echo ready; read line"
DEAF = "trap '' TERM; echo ready; read line"


def test_kill_asks_first_and_ends_all_of_the_account_and_nothing_else(sell: Sell, paas: Paas) -> None:
    alice, bob = sell("alice", services={"web": {}}), sell("bob")
    paas("reconcile")
    polite = alice.runs(POLITE, leaf="users/alice/web")
    deaf = alice.runs(DEAF, leaf="users/alice/other")
    neighbour = bob.sleeps("users/bob/other")
    for program in (polite, deaf):
        hears(program, "ready")

    begin = time.monotonic()
    answer = paas("kill", "alice", "--grace", "2")

    assert time.monotonic() - begin > 2
    assert answer.out.endswith(" processes ended\n")
    assert polite.wait(5) == 3
    hears(polite, "asked")
    assert deaf.wait(5) == -9
    assert figures("users/alice", "cgroup.events")["populated"] == 0
    assert is_alive(neighbour)
    assert knob("users/alice", "pids.max") == "100"  # the account itself stays


def test_kill_of_a_service_leaves_the_others(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", services={"web": {}})
    paas("reconcile")
    web, other = alice.runs("sleep", "1000", leaf="users/alice/web"), alice.sleeps("users/alice/other")

    paas("kill", "alice/web")

    assert web.wait(5) == -15
    assert is_alive(other)


def test_kill_ends_a_frozen_account_too(sell: Sell, paas: Paas) -> None:
    alice = sell("alice")
    paas("reconcile")
    program = alice.runs(POLITE, leaf="users/alice/other")
    hears(program, "ready")
    paas("freeze", "alice")

    paas("kill", "alice", "--grace", "0.5")

    assert program.wait(5) == -9


@pytest.mark.parametrize("words", [("freeze", "alcie"), ("thaw", "alcie"), ("kill", "alcie")])
def test_an_account_that_there_is_not_is_wrong_usage(sell: Sell, paas: Paas, words: tuple[str, ...]) -> None:
    sell("alice")
    paas("reconcile")
    assert "alice" in paas(*words, code=2).err


@pytest.mark.hostile
def test_kill_does_not_wait_for_the_cpu_time_of_an_account_that_has_hardly_any(sell: Sell, paas: Paas) -> None:
    """To exit is work too, here that of a gigabyte in pages, and cpu.max holds it back."""
    alice = sell("alice", limits={"cpu": "unlimited", "memory": "1G", "pids": 100}, services={"web": {}})
    paas("reconcile")
    alice.runs("for n in 1 2 3; do head -c 250M /dev/zero | tail & done; wait", leaf="users/alice/web")
    wait_for(lambda: int(knob("users/alice", "memory.current")) > 700 << 20, what="it has its memory", deadline=120)
    sell("alice", limits={"cpu": "1%", "memory": "1G", "pids": 100}, services={"web": {"limits": {"cpu": "1%"}}})
    paas("reconcile")
    sold = [knob(path, "cpu.max") for path in ("users/alice", "users/alice/web")]
    assert sold == ["1000 100000", "1000 100000"]

    paas("kill", "alice/web", "--grace", "0")

    assert figures("users/alice", "cgroup.events")["populated"] == 0
    assert [knob(path, "cpu.max") for path in ("users/alice", "users/alice/web")] == sold
