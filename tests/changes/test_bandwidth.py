"""Which classes and rules follow from the bandwidth that accounts are sold."""

from typing import Any

import pytest

from paas_isolate.changes.bandwidth import (
    bandwidth_now,
    bandwidth_steps,
    desired_bandwidth,
    left_rules,
    rates_sold,
    unmet_bandwidth,
)
from paas_isolate.changes.bandwidth_ruleset import change, replacement, same_table
from paas_isolate.changes.order import Rank, rank
from paas_isolate.changes.touched import touched
from paas_isolate.daemon.account_pass import AccountChange
from paas_isolate.doctor.bandwidth import of_interfaces
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.bandwidth import (
    CLASSES,
    REST,
    REST_RATE,
    Bandwidth,
    BandwidthRules,
    ClassKey,
    Interface,
    Receiver,
    Sender,
)
from paas_isolate.model.limits import UNLIMITED
from paas_isolate.model.network import UidRange
from paas_isolate.model.steps.bandwidth import SetBandwidthRules, SetClass

MBIT = 1_000_000


def one(uid: int) -> UidRange:
    return UidRange(uid, uid)


EMPTY = Bandwidth(interfaces={"eth0": Interface()})


def account(name: str, *uids: int, **rates: Any) -> Account:
    limits = {f"network.{'in' if key == 'into' else key}": value for key, value in rates.items()}
    return Account(name, name, {f"u{uid}": uid for uid in uids}, f"u{uids[0]}", "/", None, limits, ())


def fleet(*accounts: Account) -> Fleet:
    return Fleet(Host(), {each.name: each for each in accounts})


ALICE = account("alice", 1000, 1001, out=100 * MBIT, into=200 * MBIT)
BOB = account("bob", 1002, out=UNLIMITED)


def now(*accounts: Account, observed: Bandwidth = EMPTY, left: BandwidthRules = BandwidthRules()) -> Bandwidth:  # noqa: B008  (frozen)
    return bandwidth_now(desired_bandwidth(fleet(*accounts)), observed, left)


def as_observed(desired: Bandwidth) -> Bandwidth:
    return Bandwidth(
        interfaces=desired.interfaces, classes=desired.classes, rules=desired.rules, has_rules=desired.has_rules
    )


def sentences(desired: Bandwidth, observed: Bandwidth) -> list[str]:
    return [str(step) for step in sorted(bandwidth_steps(desired, observed), key=rank)]


def test_from_nothing() -> None:
    assert sentences(now(ALICE, BOB), EMPTY) == [
        "add an HTB qdisc to eth0",
        "limit what alice sends by eth0 to 100Mbit (was unlimited)",
        "let all others send by eth0 in a class without a limit",
        "make the ruleset of bandwidth: 'uid 1000 receives 200Mbit', 'uid 1000 sends in class 3e9', "
        "'uid 1001 receives 200Mbit', 'uid 1001 sends in class 3e9'",
    ]


def test_where_all_is_as_it_should_be_there_is_nothing_to_do() -> None:
    desired = now(ALICE)
    assert sentences(now(ALICE, observed=as_observed(desired)), as_observed(desired)) == []


def test_to_nothing() -> None:
    assert sentences(now(BOB, observed=as_observed(now(ALICE))), as_observed(now(ALICE))) == [
        "remove the ruleset of bandwidth",
        "remove the HTB qdisc of eth0",
    ]


def test_another_rate() -> None:
    observed = as_observed(now(ALICE))
    changed = account("alice", 1000, 1001, out=10 * MBIT, into=200 * MBIT)
    assert sentences(now(changed, observed=observed), observed) == [
        "limit what alice sends by eth0 to 10Mbit (was 100Mbit)"
    ]


def test_one_that_goes_beside_one_that_stays() -> None:
    carol = account("carol", 1003, out=MBIT)
    observed = as_observed(now(ALICE, carol))
    assert sentences(now(ALICE, observed=observed), observed) == [
        "change the ruleset of bandwidth: remove 'uid 1003 sends in class 3ec'",
        "remove the class 7061:3ec of eth0",
    ]


def test_what_was_changed_by_hand() -> None:
    observed = as_observed(now(ALICE))
    damaged = observed._replace(classes={**observed.classes, ClassKey("eth0", 1001): 0}, rules=None)
    first, second = sentences(now(ALICE, observed=damaged), damaged)
    assert first == "limit what alice sends by eth0 to 100Mbit (was changed by hand)"
    assert second.startswith("make the ruleset of bandwidth")


def test_every_interface_that_leads_to_others_but_no_foreign_one() -> None:
    observed = Bandwidth(
        interfaces={
            "eth0": Interface(),
            "eth1": Interface(foreign="mq"),
            "eth2": Interface(has_root=True, routed=False),
            "wg0": Interface(has_root=True),
        }
    )
    assert now(ALICE, observed=observed).interfaces == {
        "eth0": Interface(has_root=True),
        "wg0": Interface(has_root=True),
    }
    assert "remove the HTB qdisc of eth2" in sentences(now(ALICE, observed=observed), observed)
    (text,) = unmet_bandwidth(desired_bandwidth(fleet(ALICE)), observed).values()
    assert "by eth1 cannot be limited: its root qdisc is mq" in text
    (check,) = of_interfaces(desired_bandwidth(fleet(ALICE)), observed)
    assert check.mend == "tc qdisc replace dev eth1 root handle 7061: htb default ffff"
    only_in = desired_bandwidth(fleet(account("alice", 1000, into=MBIT)))
    assert not unmet_bandwidth(only_in, observed)
    assert not list(of_interfaces(only_in, observed))


def test_what_was_not_observed_is_not_changed() -> None:
    assert sentences(now(ALICE, observed=Bandwidth()), Bandwidth()) == []


def test_an_account_without_a_specification_keeps_what_it_has() -> None:
    carol = account("carol", 1003, out=MBIT, into=MBIT)
    observed = as_observed(now(ALICE, carol))
    left = left_rules(fleet(ALICE), observed, {"carol"})
    assert sentences(now(ALICE, observed=observed, left=left), observed) == []
    assert left_rules(fleet(ALICE), observed, ()) == BandwidthRules()
    lifted = account("alice", 1000, 1001)
    told = sentences(now(lifted, observed=observed, left=left_rules(fleet(lifted), observed, {"carol"})), observed)
    assert "remove the class 7061:3e9 of eth0" in told
    assert not any("3ec" in sentence for sentence in told)


def test_accounts_whose_numbers_would_be_the_same_have_different_ones() -> None:
    desired = now(account("alice", 1000, out=MBIT), account("bob", 1000 + CLASSES, out=2 * MBIT))
    assert desired.rules
    assert desired.rules.senders == {Sender(one(1000), 1001), Sender(one(1000 + CLASSES), 1002)}
    assert desired.classes == {
        ClassKey("eth0", 1001): MBIT // 8,
        ClassKey("eth0", 1002): 2 * MBIT // 8,
        ClassKey("eth0", REST): REST_RATE,
    }


def test_subordinate_uids_count_to_their_account_unless_another_has_them() -> None:
    carol = account("carol", 1003, out=MBIT)
    given = {"u1000": (UidRange(100_000, 165_535),), "1001": (UidRange(300_000, 300_009),)}
    overlapping = {"u1003": (UidRange(165_535, 200_000), UidRange(900, 1100), UidRange(400_000, 400_000))}
    observed = EMPTY._replace(subordinate={**given, **overlapping, "other": (UidRange(7, 8),)})
    rules = now(ALICE, carol, observed=observed).rules
    assert rules
    by_number = {number: {str(each.uids) for each in rules.senders if each.number == number} for number in (1001, 1004)}
    assert by_number == {1001: {"1000", "1001", "100000-165535", "300000-300009"}, 1004: {"1003", "400000"}}
    assert "map senders { type uid : classid; flags interval;" in replacement(rules)
    lifted = left_rules(fleet(account("alice", 1000, 1001)), as_observed(now(ALICE, carol, observed=observed)), {"x"})
    assert {str(sender.uids) for sender in lifted.senders} == {"1003", "400000"}


def test_an_account_whose_users_are_all_exempt_has_no_class() -> None:
    assert not desired_bandwidth(fleet(ALICE._replace(uids={}))).sold


def test_steps_change_no_cgroup_and_belong_to_their_account() -> None:
    step = SetClass(ClassKey("eth0", 1001), 1, None, "alice")
    assert step.owner == "alice"
    assert touched((step, SetBandwidthRules(None, None))) == frozenset()
    assert rank(step)[0] == Rank.NETWORK


def test_the_ruleset_has_the_chains_that_it_needs() -> None:
    sent = BandwidthRules(frozenset({Sender(one(1000), 1)}))
    received = BandwidthRules(receivers=frozenset({Receiver(one(1000), 1, 125)}))
    assert "hook input" not in replacement(sent)
    assert "postrouting" not in replacement(received)
    assert not same_table(sent, received)
    assert same_table(sent, BandwidthRules(frozenset({Sender(one(5), 9)})))


def test_a_change_of_the_ruleset_adds_limits_before_they_are_used_and_removes_them_after() -> None:
    old = BandwidthRules(receivers=frozenset({Receiver(one(1000), 1, 125), Receiver(one(1001), 1, 125)}))
    new = BandwidthRules(receivers=frozenset({Receiver(one(1000), 1, 250), Receiver(one(1001), 1, 250)}))
    table = "inet paas_isolate_bandwidth"
    assert change(new, old).splitlines() == [
        f"delete element {table} receivers {{ 1000, 1001 }}",
        f"add limit {table} receives_1_250 {{ rate over 250 bytes/second burst 65536 bytes; }}",
        f'add element {table} receivers {{ 1000 : "receives_1_250", 1001 : "receives_1_250" }}',
        f"delete limit {table} receives_1_125",
    ]
    assert change(old, old) == ""


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        (account("a", 1), account("a", 1), False),
        (account("a", 1), account("a", 1, out=MBIT), True),
        (account("a", 1, out=MBIT), account("a", 1, out=2 * MBIT), True),
        (account("a", 1, out=MBIT), account("a", 1, 2, out=MBIT), True),
        (account("a", 1), account("a", 1, 2), False),
        (account("a", 1), account("a", 1, out=UNLIMITED), False),
    ],
)
def test_the_daemon_makes_a_whole_pass_when_bandwidth_changes(before: Account, after: Account, more: bool) -> None:
    assert AccountChange(before, after).changes_more_than_cgroups == more


def test_what_is_sold_is_told() -> None:
    assert list(rates_sold(ALICE)) == ["bandwidth: sends 100Mbit at most, receives 200Mbit at most"]
    assert list(rates_sold(account("a", 1, out=1_500_000))) == ["bandwidth: sends 1.5Mbit at most"]
    assert list(rates_sold(BOB)) == []
