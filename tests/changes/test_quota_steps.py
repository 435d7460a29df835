"""Which quotas are set, which are lifted, and when."""

from typing import Any

import pytest

from paas_isolate.changes.diff import diff
from paas_isolate.changes.order import Rank, rank
from paas_isolate.changes.quotas import (
    accounts_with_quota,
    applied_after,
    desired_quotas,
    quota_steps,
    quotas_now,
    waiting,
)
from paas_isolate.changes.removal import removals
from paas_isolate.changes.touched import touched
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.limits import UNLIMITED
from paas_isolate.model.quota import FileSystem, Quota, QuotaKey, Quotas, QuotaSpec
from paas_isolate.model.world import DesiredWorld, ObservedWorld

HOME, EXT = "/home/alice", "ext 1"
SOLD = Quota(10 << 20, 200)
ALICE, AL = QuotaKey(EXT, 1000), QuotaKey(EXT, 1001)
FOUND = {HOME: FileSystem(EXT)}


def fleet(**more: Any) -> Fleet:
    users = {"alice": 1000, "al": 1001}
    return Fleet(Host(), {"alice": Account("alice", "alice", users, "alice", HOME, None, {}, (), **more)})


def sold(**disk: Any) -> Quotas:
    return desired_quotas(fleet(disk=disk or {"max": 10 << 30, "files": 200}))


def seen(allowed: dict[QuotaKey, Quota], given: tuple[QuotaKey, ...] = (), **more: Any) -> Quotas:
    """As a look finds it where nobody is sold anything."""
    points = {row: "/home" for row in given if row in allowed}
    return Quotas(allowed=allowed, applied=dict.fromkeys(given, "alice"), **{"mountpoints": points, **more})


def sentences(desired: Quotas, observed: Quotas, staying: tuple[str, ...] = ()) -> list[str]:
    return [str(step) for step in quota_steps(quotas_now(desired, observed, staying), observed)]


def test_each_user_has_all_of_it_and_only_where_some_was_sold() -> None:
    assert desired_quotas(fleet()).sold == {}
    there = seen({ALICE: SOLD, AL: Quota()}, filesystems=FOUND)
    assert sold().sold == {uid: QuotaSpec("alice", HOME, SOLD) for uid in (1000, 1001)}
    assert sentences(sold(), there) == [
        "set the quota of uid 1001 of alice to 10485760 blocks of 1K, 200 files (was any space, any files)"
    ]
    step = next(iter(quota_steps(quotas_now(sold(), there, ()), there)))
    assert step.owner == "alice"
    assert touched((step,)) == frozenset()
    assert rank(step)[0] == Rank.VIEW


def test_what_is_sold_unlimited_is_lifted() -> None:
    assert sold(max=UNLIMITED).sold[1000].quota == Quota()
    there = seen({ALICE: SOLD, AL: Quota()}, filesystems=FOUND)
    assert sentences(sold(max=UNLIMITED), there) == [
        "lift the quota of uid 1000 of alice at /home/alice (was 10485760 blocks of 1K, 200 files)"
    ]


@pytest.mark.parametrize(("size", "blocks"), [(1, 1), (1024, 1), (1025, 2)])
def test_a_limit_of_less_than_a_block_is_not_none(size: int, blocks: int) -> None:
    assert sold(max=size).sold[1000].quota.blocks == blocks


@pytest.mark.parametrize(("wanted", "kept"), [(10001, 10004), (10004, 10004), (0, 0)])
def test_what_a_file_system_rounds_up_is_no_difference(wanted: int, kept: int) -> None:
    system = {HOME: FileSystem(EXT, 4)}
    there = seen({ALICE: Quota(kept), AL: Quota(kept)}, filesystems=system)
    assert sentences(sold(max=wanted << 10 if wanted else UNLIMITED), there) == []


def test_what_the_file_system_does_not_keep_is_no_step() -> None:
    assert sentences(sold(), Quotas(unsupported={"alice": "why"})) == []


def test_what_is_not_sold_any_more_is_lifted_where_it_was_given() -> None:
    by_hand = QuotaKey(EXT, 1002)
    there = seen({ALICE: SOLD, by_hand: SOLD}, (ALICE,))
    lifted = ["lift the quota of uid 1000 of alice at /home (was 10485760 blocks of 1K, 200 files)"]
    assert sentences(Quotas(), there) == lifted
    assert sentences(Quotas(), seen({ALICE: SOLD})) == []
    moved = seen({ALICE: SOLD, AL: SOLD, QuotaKey("xfs 2", 1000): SOLD}, (QuotaKey("xfs 2", 1000),), filesystems=FOUND)
    assert sentences(sold(), moved) == lifted


def test_who_stays_keeps_the_quota() -> None:
    there = seen({ALICE: SOLD}, (ALICE,))
    assert sentences(Quotas(), there, ("alice",)) == []
    assert applied_after(quotas_now(Quotas(), there, ("alice",)), there) == {ALICE: "alice"}


def test_nothing_is_lifted_of_who_is_sold_some_where_nobody_can_look() -> None:
    there = seen({ALICE: SOLD}, (ALICE,), unsupported={"alice": "another disk"})
    assert sentences(sold(), there) == []


@pytest.mark.parametrize(
    ("desired", "observed", "left"),
    [
        (sold(), seen({ALICE: SOLD, AL: SOLD}, filesystems=FOUND), {ALICE, AL}),  # it was there before, as it is sold
        (sold(), seen({ALICE: SOLD, AL: Quota(1)}, filesystems=FOUND), {ALICE}),  # setting it has failed
        (sold(), seen({ALICE: SOLD, AL: Quota(1)}, (AL,), filesystems=FOUND), {ALICE, AL}),
        (sold(max=UNLIMITED), seen({ALICE: Quota(), AL: Quota()}, (AL,), filesystems=FOUND), set()),
        (Quotas(), seen({ALICE: Quota()}, (ALICE,)), set()),  # lifted
        (Quotas(), seen({ALICE: SOLD}, (ALICE,)), {ALICE}),  # lifting it has failed
        (Quotas(), seen({}, (ALICE,)), {ALICE}),  # not mounted
    ],
)
def test_what_is_remembered(desired: Quotas, observed: Quotas, left: set[QuotaKey]) -> None:
    assert applied_after(quotas_now(desired, observed, ()), observed) == dict.fromkeys(left, "alice")


def test_a_row_of_another_account_is_that_ones() -> None:
    there = seen({ALICE: SOLD}, (ALICE,), filesystems=FOUND, mountpoints={})
    bob = Quotas({1000: QuotaSpec("bob", HOME, SOLD)})
    assert sentences(bob, there) == []
    assert applied_after(quotas_now(bob, there, ()), there) == {ALICE: "bob"}


def test_what_cannot_be_lifted_now_is_told() -> None:
    away = seen({}, (ALICE,))
    assert list(waiting(quotas_now(Quotas(), away, ()), away, ())) == [
        (
            "alice",
            "the quota of uid 1000 is to be lifted, but its file system (ext 1) is not mounted, or keeps no limits now",
        )
    ]
    assert list(waiting(Quotas(), away, ("alice",))) == []
    assert list(waiting(sold(), away, ())) == []


def test_accounts_without_a_cgroup_leave_as_the_others_do() -> None:
    """After a boot there are no cgroups; accounts.d that is missing then takes no limit away."""
    there = ObservedWorld(quotas=seen({ALICE: SOLD, AL: Quota()}, (ALICE, AL)))
    assert accounts_with_quota(there.quotas) == {"alice"}
    assert removals(Fleet(Host(), {}), there).accepted == {"alice"}
    assert removals(Fleet(Host(), {}, removal_blocked="accounts.d is missing"), there).waiting == {
        "alice": "accounts.d is missing"
    }
    assert not removals(fleet(), there).accepted
    assert not removals(Fleet(Host(), {}), ObservedWorld(quotas=seen({}, (ALICE,)))).accepted


def test_it_is_part_of_the_whole() -> None:
    there = ObservedWorld(quotas=seen({ALICE: SOLD}, (ALICE,)))
    wanted = DesiredWorld(quotas=quotas_now(Quotas(), there.quotas, ()))
    assert [str(step).partition(" of ")[0] for step in diff(wanted, there)] == ["lift the quota"]
