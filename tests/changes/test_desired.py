"""From specifications to the knobs of the desired world: cases as data."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import pytest

from paas_isolate.changes.desired import desired_state, desired_static
from paas_isolate.changes.diff import diff
from paas_isolate.changes.order import rank
from paas_isolate.errors import HostError
from paas_isolate.model.account import Account, Host, Service
from paas_isolate.model.intent import Intent
from paas_isolate.model.knobs import DEFAULTS
from paas_isolate.model.limits import UNLIMITED, Limits, Percent
from paas_isolate.model.steps.cgroup import EndRevoked, MoveProcess, SetKnob
from paas_isolate.model.steps.door import SetDoor
from paas_isolate.model.world import Knobs, ObservedWorld, Process
from tests.support.fleets import DISK, MACHINE, fleet, service, sold


def wished(
    *accounts: Account,
    observed: ObservedWorld | None = None,
    host: Host | None = None,
    held: Iterable[str] = (),
    **more: object,
) -> Mapping[str, Knobs]:
    wanted = fleet(*accounts, host=host, **more)
    return desired_state(
        wanted,
        desired_static(Intent(wanted, MACHINE, frozen=frozenset(held)), device_of=lambda _: DISK),
        observed or ObservedWorld(),
    ).cgroups


CASES: list[tuple[Limits, dict[str, str]]] = [
    ({}, {}),
    ({"cpu.max": 150_000}, {"cpu.max": "150000 100000"}),
    ({"cpu.max": 800_000}, {"cpu.max": "200000 100000"}),  # capped at the machine's two cores
    ({"cpu.max": UNLIMITED}, {}),
    ({"cpu.weight": 300}, {"cpu.weight": "300"}),
    ({"cpu.max": 100_000, "cpu.burst": 50_000}, {"cpu.max": "100000 100000", "cpu.max.burst": "50000"}),
    ({"cpu.max": 800_000, "cpu.burst": 400_000}, {"cpu.max": "200000 100000", "cpu.max.burst": "200000"}),
    ({"cpu.set": "0-1"}, {"cpuset.cpus": "0-1"}),
    ({"memory.max": 512 << 20}, {"memory.max": "536870912"}),
    ({"memory.max": (1 << 30) + 5}, {"memory.max": "1073741824"}),  # down to the page
    (
        {"memory.max": 1 << 30, "memory.high": Percent(Decimal(90))},
        {"memory.max": "1073741824", "memory.high": "966365184"},
    ),
    ({"memory.low": Percent(Decimal(10))}, {"memory.low": "429494272"}),  # of the machine, where nothing else limits
    ({"memory.swap": 0}, {"memory.swap.max": "0"}),
    ({"memory.kill": "leaf"}, {"memory.oom.group": "1"}),
    ({"pids": 200}, {"pids.max": "200"}),
    ({"io.read": 20 << 20}, {"io.max": "254:0 rbps=20971520 wbps=max riops=max wiops=max"}),
    ({"io.write_ops": 100}, {"io.max": "254:0 rbps=max wbps=max riops=max wiops=100"}),
    ({"io.read": UNLIMITED, "io.of": "/srv"}, {}),
    ({"io.weight": 50}, {"io.weight": "default 50"}),
]


@pytest.mark.parametrize(("limits", "expected"), CASES, ids=[str(limits) for limits, _ in CASES])
def test_account_knobs(limits: Limits, expected: dict[str, str]) -> None:
    knobs = wished(sold("alice", limits))["users/alice"]
    given = {knob: text for knob, text in knobs.items() if DEFAULTS.get(knob) != text and "subtree" not in knob}
    assert given == expected


def test_every_account_has_a_leaf_for_logins_and_for_the_rest() -> None:
    assert [path for path in wished(sold("alice")) if path.startswith("users/alice/")] == [
        "users/alice/login",
        "users/alice/other",
    ]


def test_a_fork_bomb_in_a_service_leaves_room_for_ssh() -> None:
    cgroups = wished(sold("alice", {"pids": 200}, service("web"), service("own", {"pids": 190})))
    pids = {path.rpartition("/")[2]: knobs["pids.max"] for path, knobs in cgroups.items() if "alice/" in path}
    assert pids == {"web": "168", "own": "190", "login": "max", "other": "168"}


@pytest.mark.parametrize(("pids", "left"), [(50, "25"), (2, "1"), (1, "1"), (64, "32"), (100, "68")])
def test_the_room_for_logins_never_takes_more_than_half(pids: int, left: str) -> None:
    assert wished(sold("alice", {"pids": pids}))["users/alice/other"]["pids.max"] == left


def test_services_die_as_a_whole_and_logins_by_process() -> None:
    cgroups = wished(sold("alice", {}, service("web"), service("soft", {"memory.kill": "process"})))
    group = {path.rpartition("/")[2]: knobs["memory.oom.group"] for path, knobs in cgroups.items() if "alice/" in path}
    assert group == {"web": "1", "soft": "0", "login": "0", "other": "0"}


def test_a_services_share_is_of_its_accounts_memory() -> None:
    web = service("web", {"memory.max": Percent(Decimal(80)), "memory.high": Percent(Decimal(50))})
    knobs = wished(sold("alice", {"memory.max": 1 << 30}, web))["users/alice/web"]
    assert (knobs["memory.max"], knobs["memory.high"]) == ("858992640", "429494272")


@pytest.mark.parametrize(
    ("held", "suspended", "frozen"),
    [
        ([], False, set()),
        (["alice"], False, {"users/alice"}),
        (["alice/login"], False, {"users/alice/login"}),
        ([], True, {"users/alice"}),
    ],
)
def test_freezing(held: list[str], suspended: bool, frozen: set[str]) -> None:
    cgroups = wished(sold("alice", suspended=suspended), held=held)
    assert {path for path, knobs in cgroups.items() if knobs.get("cgroup.freeze") == "1"} == frozen


def test_the_ceiling_is_in_percent_of_the_machine() -> None:
    host = Host(ceiling={"memory.max": Percent(Decimal(75)), "pids": Percent(Decimal(50)), "cpu.weight": 50})
    cgroups = wished(host=host)
    assert cgroups["users"]["memory.max"] == str(3 << 30)
    assert cgroups["users"]["pids.max"] == "16384"
    assert cgroups[""]["cpu.weight"] == "50"  # all customers together, against the rest of the machine


def test_a_leaf_keeps_its_place_while_a_foreign_process_lives_in_it() -> None:
    leaf = "users/alice/old"
    observed = ObservedWorld({leaf: DEFAULTS}, (Process(7, 1001, leaf),), {leaf: (7, 8)})
    assert leaf in wished(sold("alice"), observed=observed)
    alone = ObservedWorld({leaf: DEFAULTS}, (Process(7, 1001, leaf),), {leaf: (7,)})
    assert leaf not in wished(sold("alice"), observed=alone)


def test_renamed_accounts_keep_their_directory() -> None:
    assert "users/old/login" in wished(sold("new", directory="old"))


def test_leaf_limits_of_login_are_its_own() -> None:
    knobs = wished(sold("alice", {}, Service("login", {"cpu.max": 50_000})))["users/alice/login"]
    assert knobs["cpu.max"] == "50000 100000"


def test_io_limits_without_a_disk_are_told_by_name_and_hold_nothing_else_back() -> None:
    def device_of(path: str) -> str:
        raise HostError(f"{path} lies on tmpfs")

    wanted = fleet(sold("alice", {"io.read": 4096, "pids": 50, "io.of": "~/data"}), sold("bob", uid=1002))
    world = desired_state(wanted, desired_static(Intent(wanted, MACHINE), device_of=device_of), ObservedWorld())
    assert world.unmet == {"users/alice": "io limits of users/alice cannot be kept: /home/alice/data lies on tmpfs"}
    assert world.cgroups["users/alice"]["pids.max"] == "50"


def test_io_limits_whose_disk_cannot_be_told_stay_as_they_are() -> None:
    """A customer hides the disk by a file system of their own over their home; its limit stays where it was."""

    def device_of(path: str) -> str:
        raise HostError(f"{path} lies on fuse.sshfs")

    slow = "254:0 rbps=4096 wbps=max riops=max wiops=max"
    wanted = fleet(sold("alice", {"io.read": 8192}, Service("web", {"io.read": 1024})), sold("bob", uid=1002))
    found = {"users/alice": slow, "users/alice/web": slow, "users/bob": slow}
    observed = ObservedWorld({path: {**DEFAULTS, "io.max": text} for path, text in found.items()})
    desired = desired_state(wanted, desired_static(Intent(wanted, MACHINE), device_of=device_of), observed)
    mended = [step for step in diff(desired, observed) if isinstance(step, SetKnob) and step.knob == "io.max"]
    assert mended == [SetKnob("users/bob", "io.max", "", slow)]
    assert desired.unmet.keys() == {"users/alice", "users/alice/web"}


def test_what_runs_where_its_uid_is_another_accounts_now_ends_and_is_not_moved() -> None:
    """1001 was alice's, and is dave's now; 1005 is another user of hers."""
    wanted = fleet(sold("alice", uid=1005), sold("dave"))._replace(revoked={"alice": frozenset({1001})})
    there = (Process(7, 1001, "users/alice/login"), Process(8, 1005, "users/alice/login"), Process(9, 1001, "/x"))
    observed = ObservedWorld(processes=there, members={"users/alice/login": (7, 8)})
    world = desired_state(wanted, desired_static(Intent(wanted, MACHINE), device_of=lambda _: DISK), observed)
    assert world.revoked == {("users/alice/login", 1001)}
    assert [process.pid for process in world.moves] == [9]
    (end,) = (step for step in diff(world, observed) if isinstance(step, EndRevoked))
    assert str(end) == "end what runs in users/alice/login as uid 1001, which is another account's now"
    assert end.owner == "alice"
    assert rank(SetDoor("1001", "users/dave/login")) < rank(end) < rank(MoveProcess(there[2], "users/dave/other"))
