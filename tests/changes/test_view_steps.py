"""The steps of views, as sentences."""

from typing import Any

import pytest

from paas_isolate.changes.doors import desired_doors
from paas_isolate.changes.order import rank
from paas_isolate.changes.views import aging, desired_views, preserved_views, view_steps
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.steps.door import SetDoor
from paas_isolate.model.steps.namespace import MakeView, RemoveView
from paas_isolate.model.view import PrivateTmpConfig, View, Views

FULL = View(True, "/private/alice", True, ("/etc/paas-isolate",))


def fleet(view: View | None = None, **more: Any) -> Fleet:
    users = {"alice": 1000, "al": 1001}
    sold = Account("alice", "alice", users, "alice", "/home/alice", None, {}, (), view=view, **more)
    return Fleet(Host(), {"alice": sold})


def sentences(desired: Views, observed: Views, cgroups: tuple[str, ...] = ()) -> list[str]:
    return [str(step) for step in view_steps(desired, observed, cgroups)]


def test_a_view_is_made_and_its_doors_open_after_it() -> None:
    sold = desired_views(fleet(FULL))
    assert sentences(sold, Views()) == [
        "make the view of alice: processes, tmp, shm of its own, /etc/paas-isolate hidden",
        "let files in private /tmp go by: e /var/lib/paas-isolate/private/*/* - - - 10d",
    ]
    doors = desired_doors(fleet(FULL), ())
    assert doors["1000:view"] == doors["1001:view"] == "view/alice"
    door = SetDoor("1000:view", doors["1000:view"])
    assert str(door) == "open door 1000:view to the view of alice"
    assert door.owner == "alice"
    assert rank(MakeView("alice", FULL)) < rank(door) < rank(RemoveView("alice"))


def test_no_door_leads_to_a_view_that_nobody_has_or_may_enter() -> None:
    assert not any(":" in name for name in desired_doors(fleet(), ()))
    assert not any(":" in name for name in desired_doors(fleet(FULL, suspended=True), ()))


@pytest.mark.parametrize(
    ("was", "told"),
    [
        (FULL, []),
        (None, ["make the view of alice again, for it is not whole: tmp of its own"]),
        (View(shm=True), ["change the view of alice to tmp of its own (was shm of its own)"]),
    ],
)
def test_what_differs_is_made_anew(was: View | None, told: list[str]) -> None:
    wanted = FULL if was == FULL else View(tmp="/private/alice")
    assert sentences(Views({"alice": wanted}), Views({"alice": was})) == told


def test_files_go_with_the_account_and_not_before() -> None:
    there = Views({"alice": FULL})
    assert list(view_steps(Views(), there, ("users/alice",))) == [RemoveView("alice")]
    assert list(view_steps(Views(), there, ())) == [RemoveView("alice", "/private/alice")]
    broken = Views({"alice": None}, files={"alice": "/private/alice"})
    assert list(view_steps(Views(), broken, ())) == [RemoveView("alice", "/private/alice")]


def test_a_tmp_is_its_owners() -> None:
    assert desired_views(fleet(FULL)).made == {"alice": FULL._replace(owner=1000)}
    assert desired_views(fleet(View(shm=True))).made == {"alice": View(shm=True)}


def test_who_stays_keeps_the_view() -> None:
    there = Views({"alice": FULL, "bob": FULL}, "text")
    stays = preserved_views(Views(), there, {"alice"})
    assert sentences(stays, there) == ["remove the view of bob"]


def test_aging_is_told_as_systemd_reads_it() -> None:
    told = [aging(Host(private=PrivateTmpConfig("/p", age))).split()[-1] for age in (86_400_000, 5_400_000, 1_500)]
    assert told == ["1d", "90m", "1500ms"]
