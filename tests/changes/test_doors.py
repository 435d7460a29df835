"""Which doors each account should have, and when the set of doors is complete."""

from paas_isolate.changes.desired import desired_static
from paas_isolate.changes.doors import desired_doors, door_steps, preserved_doors
from paas_isolate.changes.order import rank
from paas_isolate.model import tree
from paas_isolate.model.account import Host
from paas_isolate.model.intent import Intent
from paas_isolate.model.steps.cgroup import SetKnob
from paas_isolate.model.steps.door import CompleteDoors, RemoveDoor, SetDoor
from paas_isolate.model.view import View
from paas_isolate.model.world import COMPLETE
from tests.support.fleets import MACHINE, fleet, service, sold


def test_every_user_of_an_account_has_a_door_to_its_login() -> None:
    wanted = fleet(sold("alice")._replace(uids={"alice": 1001, "alice-ftp": 1005}), sold("bob", uid=1002))
    assert desired_doors(wanted, ()) == {
        COMPLETE: "",
        "1001": "users/alice/login",
        "1005": "users/alice/login",
        "1002": "users/bob/login",
    }


def test_entry_sends_logins_through_a_service_elsewhere() -> None:
    cron = service("jobs")._replace(entry=("cron", "atd"))
    doors = desired_doors(fleet(sold("alice", {}, cron)), ())
    assert (doors["1001"], doors["1001.cron"], doors["1001.atd"]) == ("users/alice/login", *["users/alice/jobs"] * 2)


def test_who_is_suspended_or_held_has_a_closed_door_that_says_whose_it_is() -> None:
    cron = service("jobs")._replace(entry=("cron",))
    for wanted, held in ((sold("alice", {}, cron, suspended=True), ()), (sold("alice", {}, cron), ("alice",))):
        assert desired_doors(fleet(wanted), held) == {COMPLETE: "", "1001": "closed/alice"}
    doors = desired_doors(fleet(sold("alice", {}, cron)), ("alice/jobs",))
    assert (doors["1001"], doors["1001.cron"]) == ("users/alice/login", "closed/alice")


def test_who_is_exempt_or_out_of_range_has_none() -> None:
    wanted = fleet(sold("alice"), sold("bob", uid=1002))._replace(exempt=frozenset({1002}), host=Host(first_uid=1002))
    assert desired_doors(wanted, ()) == {COMPLETE: ""}


def test_without_a_directory_for_them_there_are_none() -> None:
    wanted = fleet(sold("alice"))
    assert desired_static(Intent(wanted, MACHINE), device_of=lambda _: "", with_doors=False).doors == {}


def test_that_all_are_there_is_said_only_when_it_is_so() -> None:
    desired = {COMPLETE: "", "1001": "users/alice/login"}
    assert list(door_steps(desired, {})) == [SetDoor("1001", "users/alice/login")]
    assert list(door_steps(desired, {"1001": "users/alice/login"})) == [CompleteDoors()]
    assert list(door_steps(desired, {**desired, "1002": "x"})) == [RemoveDoor("1002", "x")]
    assert list(door_steps(desired, desired)) == []
    assert list(door_steps({}, {})) == []


def test_a_door_opens_on_what_is_ready_and_closes_before_a_freeze() -> None:
    open_, close = SetDoor("1001", "users/alice/login"), SetDoor("1001", "closed/alice")
    assert rank(SetKnob("users/alice", "cgroup.freeze", "0")) < rank(open_)
    assert (
        rank(SetKnob("users/alice", "pids.max", "5", "9")) < rank(SetKnob("users/alice", "pids.max", "9")) < rank(open_)
    )
    assert rank(close) < rank(SetKnob("users/alice", "cgroup.freeze", "1"))
    assert (str(open_), str(close)) == ("open door 1001 to users/alice/login", "close door 1001")


def test_the_doors_of_an_account_stay_with_it_whether_they_are_open_or_closed() -> None:
    found = {COMPLETE: "", "1001": "users/alice/login", "1001.cron": "closed/alice", "1002": "users/bob/login"}
    staying = preserved_doors(fleet(), found, {"alice"})
    assert staying == {"1001": "users/alice/login", "1001.cron": "closed/alice"}
    assert RemoveDoor("1001.cron", "closed/alice").owner == SetDoor("1001", "users/alice/login").owner == "alice"


def test_a_uid_that_may_be_another_person_has_a_closed_door_and_no_other() -> None:
    entry = service("jobs")._replace(entry=("cron",))
    alice = sold("alice", {}, entry)._replace(uids={"alice": 1001, "al": 1004}, view=View(tmp="/tmp/alice"))
    doors = desired_doors(fleet(alice)._replace(doubtful=frozenset({1001})), ())
    assert {name for name in doors if name.startswith("1001")} == {"1001"}
    assert (doors["1001"], doors["1004"], doors["1004:view"]) == ("closed/alice", "users/alice/login", "view/alice")


def test_no_door_that_stays_is_of_whoever_has_the_uid_now() -> None:
    found = {"1001": "users/gone/login", "1001:view": "view/gone", "1001.cron": "users/gone/jobs"}
    assert preserved_doors(fleet(sold("dave")), found, {"gone"}) == {}
    doubtful = fleet()._replace(doubtful=frozenset({1001}))
    assert preserved_doors(doubtful, found, {"gone"}) == {"1001": "closed/gone"}
    assert preserved_doors(fleet(), found, {"gone"}) == found
    assert preserved_doors(fleet(sold("gone", uid=1002)), found, {"gone"}) == {}, "they are as that account is sold"


def test_only_a_door_leads_to_what_is_closed() -> None:
    assert tree.directory_of("closed/alice") == ""
