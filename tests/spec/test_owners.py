"""Whatever happens to an account's owner: nothing is raised, and other accounts are not affected."""

import pytest

from paas_isolate.changes.desired import desired_state, desired_static
from paas_isolate.changes.diff import diff
from paas_isolate.changes.removal import removals
from paas_isolate.changes.supervision import managed_services
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.intent import Intent
from paas_isolate.model.world import DesiredWorld, ObservedWorld
from tests.support.crowd import Crowd, fleet
from tests.support.fleets import DISK, MACHINE, carried_out

USERS = {"root": 0, "alice": 1001, "bob": 1002, "carol": 1003}
FEATURES = {
    "nothing": "",
    "view": "private: {tmp: true, processes: true, shm: true}\nhide: [/srv]",
    "disk": "disk: {max: 1G, files: 1000}",
    "io": "limits: {io: {read: 5M, of: ~/data}}",
    "services": "services: {web: {run: serve, listen: 8080, replicas: 2}}",
    "schedule": "services: {job: {run: work, schedule: '0 3 * * *'}}",
    "entry": "services: {ftp: {entry: [vsftpd]}}",
    "match": "services: {ftp: {match: {user: '$owner', program: 'ftp*'}}}",
    "publish": "services: {web: {listen: 8080, publish: 8088}}",
    "peers": "peers: [alice]",
    "egress": "egress: {deny: [smtp]}",
    "loopback": "loopback: shared",
    "address": "address: 10.77.0.200",
    "two users": "users: [bob, carol]\nowner: bob\nprivate: {tmp: true}\nservices: {web: {run: serve}}",
    "suspended": "suspended: true\nprivate: {tmp: true}",
}
TROUBLES = {
    "exempt": (USERS, {"sudo": {1002}}),
    "gone": ({name: uid for name, uid in USERS.items() if name != "bob"}, {}),
    "another uid": ({**USERS, "bob": 1050}, {}),
    "out of range": ({**USERS, "bob": 5}, {}),
    "the uid is another's": ({**{name: uid for name, uid in USERS.items() if name != "bob"}, "eve": 1002}, {}),
    "both at one uid": ({**USERS, "bob": 1001}, {}),
}


def gathered(text: str, users: dict[str, int], groups: dict[str, set[int]], copy: Account | None = None) -> Fleet:
    files = {
        "config.yaml": "network: {}",
        "accounts.d/alice.yaml": "peers: [bob]\nprivate: {tmp: true}\nservices: {web: {run: serve}}",
        "accounts.d/bob.yaml": text,
    }
    return fleet(files, people=Crowd(users, groups), last_good={"bob": copy} if copy else {})


def world(sold: Fleet) -> DesiredWorld:
    return desired_static(Intent(sold, MACHINE), device_of=lambda _: DISK)


@pytest.mark.parametrize("known", [True, False], ids=["with a copy", "without"])
@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("feature", FEATURES)
def test_an_owner_in_trouble_takes_nothing_from_another(feature: str, trouble: str, known: bool) -> None:
    before = gathered(FEATURES[feature], USERS, {})
    assert before.accounts.keys() == {"alice", "bob"}, before.complaints
    now = gathered(FEATURES[feature], *TROUBLES[trouble], before.accounts["bob"] if known else None)
    assert not now.broken
    wanted, was = world(now), world(before)
    keep, _ = managed_services(now, wanted.cgroups, (), ())
    for observed in (ObservedWorld(), carried_out(was)):
        staying = (*removals(now, observed).waiting, *now.on_last_good)
        assert isinstance(diff(desired_state(now, wanted, observed, staying=staying), observed), tuple)
    if trouble == "both at one uid":
        return  # which of them is right cannot be told: both stay as they were
    assert [cgroup for cgroup in wanted.cgroups if "alice" in cgroup] == [
        cgroup for cgroup in was.cgroups if "alice" in cgroup
    ]
    assert wanted.doors["1001"] == "users/alice/login"
    assert wanted.views.made["alice"] == was.views.made["alice"]
    assert "users/alice/web" in keep
    if trouble == "exempt":
        assert not any(name.startswith("1002") for name in wanted.doors)
        assert not any(leaf.startswith("users/bob/") for leaf in keep)
        assert ("bob" in wanted.views.made) is (feature == "two users")
        assert any(complaint.warning and "exempt" in complaint.text for complaint in now.complaints)


def test_who_is_left_as_they_are_loses_nothing_and_gets_nothing() -> None:
    text = FEATURES["publish"] + "\nprivate: {tmp: true}\negress: {deny: [smtp]}\ndisk: {max: 1G}"
    whole = gathered(text, USERS, {})
    observed = carried_out(world(whole))
    part = whole.restricted_to(["alice"])
    found = desired_state(part, world(part), observed, staying=frozenset(part.on_last_good))
    assert [str(step) for step in diff(found, observed)] == []
    assert not part.governs(1002)
    assert part.governs(1001)
    assert not removals(part, observed).accepted
