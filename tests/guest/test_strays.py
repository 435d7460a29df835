"""A customer's process outside the tree is moved into the right leaf; no other process is touched."""

import time

import pytest

from tests.support.guest.machine import cgroup_of, is_alive, is_confined, knob, pids_of
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customers, Sell, Specs
from tests.support.waiting import wait_for

STORM = "for i in 1 2 3 4 5 6 7 8; do (while :; do sleep 0.1; done) & done; wait"
"""Eight shells, each of which forks as long as it lives: no process of it stays for longer than a moment."""


def test_a_stray_comes_to_the_leaf_that_asks_for_it_or_to_other(sell: Sell, paas: Paas) -> None:
    services = {"sleepers": {"match": {"program": "sleep"}}, "queue": {"match": {"command": "*--queue mail*"}}}
    alice = sell("alice", services=services)
    sleeper = alice.sleeps()
    worker = alice.runs("sh", "-c", "read line", "--queue mail").pid
    unknown = alice.runs("read line").pid

    paas("reconcile")

    assert cgroup_of(sleeper) == "users/alice/sleepers"
    assert cgroup_of(worker) == "users/alice/queue"
    assert cgroup_of(unknown) == "users/alice/other"
    assert paas("reconcile").out == "nothing to do\n"


def test_a_process_stays_in_the_leaf_of_its_account_that_it_is_in(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", services={"web": {}})
    paas("reconcile")
    placed = {leaf: alice.sleeps(f"users/alice/{leaf}") for leaf in ("web", "login", "other")}

    assert paas("reconcile").out == "nothing to do\n"

    assert {leaf: cgroup_of(pid) for leaf, pid in placed.items()} == {leaf: f"users/alice/{leaf}" for leaf in placed}


def test_a_process_in_the_tree_of_another_account_comes_home(sell: Sell, paas: Paas) -> None:
    alice, _ = sell("alice"), sell("bob")
    paas("reconcile")
    pid = alice.sleeps("users/bob/other")

    paas("reconcile")

    assert cgroup_of(pid) == "users/alice/other"


def test_all_users_of_an_account_share_its_tree(sell: Sell, customer: Customers, paas: Paas) -> None:
    sell("shop", users=("alice", "bob"), owner="alice")
    pids = [customer(name).sleeps() for name in ("alice", "bob")]

    paas("reconcile")

    assert [cgroup_of(pid) for pid in pids] == ["users/shop/other"] * 2


def test_a_storm_of_forks_is_inside_after_a_run_or_the_next_look(sell: Sell, paas: Paas) -> None:
    alice = sell("alice")
    alice.runs(STORM)
    wait_for(lambda: len(pids_of(alice.uid)) > 8, what="the storm is on")

    answer = paas("reconcile", code=None)
    if answer.code:  # somebody was forked during the last look
        paas("reconcile")

    for _ in range(5):  # and stays inside, with all that is forked from now on
        inside = [is_confined(pid) for pid in pids_of(alice.uid)]
        assert len(inside) > 8
        assert all(inside)
        time.sleep(0.1)  # another moment each time


def test_exempt_users_and_uids_outside_the_range_are_never_moved(
    sell: Sell, spec: Specs, customer: Customers, paas: Paas
) -> None:
    sell("alice")
    untouched = {
        "in group sudo": customer("admin", "--groups", "sudo"),
        "below the range": customer("printer", "--uid", "555"),
        "above the range": customer("robot", "--uid", "60123"),
    }
    pids = {why: user.sleeps() for why, user in untouched.items()}
    before = {why: cgroup_of(pid) for why, pid in pids.items()}

    for policy in ("leave", "penalty", "plan free"):
        spec.config(users={"without_account": policy}, default_plan="small")
        paas("reconcile")

        assert {why: cgroup_of(pid) for why, pid in pids.items()} == before


def test_an_exempt_user_of_an_account_is_not_moved_either(sell: Sell, customer: Customers, paas: Paas) -> None:
    admin = customer("admin", "--groups", "sudo")
    sell("staff", users=("alice", "admin"), owner="alice")
    pid = admin.sleeps()
    before = cgroup_of(pid)

    paas("reconcile", code=None)

    assert not is_confined(pid)
    assert cgroup_of(pid) == before


@pytest.mark.parametrize(
    ("policy", "place"),
    [("penalty", "penalty"), ("plan free", "users/stranger/other")],
)
def test_a_user_without_an_account_goes_where_the_host_says(
    spec: Specs, customer: Customers, paas: Paas, policy: str, place: str
) -> None:
    spec.config(users={"without_account": policy}, penalty={"cpu": "10%", "memory": "256M", "pids": 50})
    pid = customer("stranger").sleeps()

    paas("reconcile")

    assert cgroup_of(pid) == place
    assert paas("diff", "--exit-code").out == "nothing differs\n"
    limits = {"penalty": ("10000 100000", "50"), "plan free": ("25000 100000", "50")}[policy]
    where = place.removesuffix("/other")
    assert (knob(where, "cpu.max"), knob(where, "pids.max")) == limits


def test_a_user_without_an_account_is_left_alone_by_default(customer: Customers, paas: Paas) -> None:
    pid = customer("stranger").sleeps()
    before = cgroup_of(pid)

    paas("reconcile")

    assert cgroup_of(pid) == before
    assert paas("coverage").out == "0 of 0 processes confined\n"


def test_a_user_who_left_an_account_keeps_its_limits_until_they_end(
    sell: Sell, customer: Customers, paas: Paas
) -> None:
    sell("shop", users=("alice", "bob"), owner="alice")
    pid = customer("bob").sleeps()
    paas("reconcile")
    assert cgroup_of(pid) == "users/shop/other"

    sell("shop", users=("alice",), owner="alice")
    paas("reconcile")

    assert is_alive(pid)
    assert cgroup_of(pid) == "users/shop/other", "never out of the tree"
    assert paas("diff", "--exit-code").out == "nothing differs\n"


def test_a_stray_is_seen_by_coverage_until_it_is_confined(sell: Sell, paas: Paas) -> None:
    alice = sell("alice")
    pid = alice.sleeps()

    answer = paas("coverage", code=3)
    assert str(pid) in answer.out
    assert answer.out.splitlines()[-1] == "0 of 1 processes confined"

    paas("reconcile")
    assert paas("coverage").out == "1 of 1 processes confined\n"
