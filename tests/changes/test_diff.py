"""From two worlds to steps, compared as sentences, in order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from paas_isolate.changes.desired import desired_state, desired_static
from paas_isolate.changes.diff import diff
from paas_isolate.changes.removal import removals
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Service
from paas_isolate.model.intent import Intent
from paas_isolate.model.knobs import CONTROLLERS, DEFAULTS, SUBTREE_CONTROL
from paas_isolate.model.limits import UNLIMITED
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.cgroup import (
    CreateCgroup,
    EnableControllers,
    LowerMemory,
    MoveProcess,
    RemoveCgroup,
    SetKnob,
)
from paas_isolate.model.steps.door import CompleteDoors, RemoveDoor, SetDoor
from paas_isolate.model.world import COMPLETE, ObservedWorld, Process
from tests.support.fleets import DISK, MACHINE, fleet, service, sold

ALL = " ".join(CONTROLLERS)
EMPTY = ObservedWorld({"": {SUBTREE_CONTROL: "", "cpu.weight": "100"}}, doors={COMPLETE: ""})


def look(wanted: Fleet, observed: ObservedWorld) -> Changes:
    going = removals(wanted, observed)
    staying = frozenset(going.waiting) | frozenset(wanted.on_last_good)
    sold = desired_static(Intent(wanted, MACHINE), device_of=lambda _: DISK)
    return diff(desired_state(wanted, sold, observed, staying=staying), observed)


def carried_out(changes: Changes, observed: ObservedWorld) -> ObservedWorld:
    """What a kernel would have after the steps: mkdir gives defaults, and nothing is refused."""
    cgroups = {path: dict(knobs) for path, knobs in observed.cgroups.items()}
    processes = {process.pid: process for process in observed.processes}
    doors = dict(observed.doors)
    for step in changes:
        match step:
            case CreateCgroup(path):
                assert not path or tree.parent(path) in cgroups, f"{path} before its parent"
                cgroups[path] = {**DEFAULTS, SUBTREE_CONTROL: ""}
            case EnableControllers(path, controllers):
                had = cgroups[path][SUBTREE_CONTROL].split()
                cgroups[path][SUBTREE_CONTROL] = " ".join(n for n in CONTROLLERS if n in had or n in controllers)
            case SetKnob(path, knob, value):
                cgroups[path][knob] = value
            case LowerMemory(path, value):
                cgroups[path]["memory.max"] = value
            case MoveProcess(process, to):
                processes[process.pid] = Process(process.pid, process.uid, to, process.start, process.program)
            case SetDoor(name, target):
                assert tree.is_closed(target) or target in cgroups, f"door {name} before its leaf"
                doors[name] = target
            case RemoveDoor(name):
                del doors[name]
            case CompleteDoors():
                doors[COMPLETE] = ""
            case RemoveCgroup(path):
                assert path not in doors.values(), f"{path} before its door"
                assert not any(child.startswith(path + "/") for child in cgroups), f"{path} before its children"
                del cgroups[path]
    members: dict[str, tuple[int, ...]] = {}
    for process in processes.values():
        if process.confined:
            members[process.cgroup] = (*members.get(process.cgroup, ()), process.pid)
    return ObservedWorld(cgroups, tuple(processes.values()), members, doors=doors)


def settled(wanted: Fleet) -> ObservedWorld:
    return carried_out(look(wanted, EMPTY), EMPTY)


def test_a_first_run_reads_as_a_story() -> None:
    stray = Process(77, 1001, "/user.slice", 5, "bash")
    world = EMPTY._replace(processes=(stray,))
    told = [str(step) for step in look(fleet(sold("alice", {"pids": 100})), world)]
    assert told == [
        f"enable {ALL} below the tree",
        "create penalty",
        "create users",
        f"enable {ALL} below users",
        "create users/alice",
        f"enable {ALL} below users/alice",
        "create users/alice/login",
        "create users/alice/other",
        "set pids.max of users/alice to 100",
        "set pids.max of users/alice/other to 68",
        "open door 1001 to users/alice/login",
        "move process 77 (bash) from /user.slice to users/alice/other",
    ]


def test_nothing_differs_after_the_steps() -> None:
    wanted = fleet(sold("alice", {"pids": 100}, service("web")), sold("bob", uid=1002))
    assert look(wanted, settled(wanted)) == ()


CHANGED = [
    ("a knob that somebody wrote", "users/alice", "pids.max", "7", "set pids.max of users/alice to 100 (was 7)"),
    ("a knob that no spec names", "users/alice/login", "memory.high", "4096",
     "set memory.high of users/alice/login to max (was 4096)"),
    ("a frozen leaf", "users/alice/login", "cgroup.freeze", "1", "set cgroup.freeze of users/alice/login to 0 (was 1)"),
    ("io of a disk", "users/alice", "io.max", "8:0 rbps=1 wbps=max riops=max wiops=max",
     "set io.max of users/alice to nothing (was 8:0 rbps=1 wbps=max riops=max wiops=max)"),
    ("a controller", "users/alice", SUBTREE_CONTROL, "cpu", "enable cpuset io memory pids below users/alice"),
]  # fmt: skip


@pytest.mark.parametrize("case", CHANGED, ids=[case[0] for case in CHANGED])
def test_what_was_changed_by_hand_is_mended(case: tuple[str, str, str, str, str]) -> None:
    _, path, knob, text, sentence = case
    wanted = fleet(sold("alice", {"pids": 100}))
    world = settled(wanted)
    cgroups = {**world.cgroups, path: {**world.cgroups[path], knob: text}}
    assert [str(step) for step in look(wanted, world._replace(cgroups=cgroups))] == [sentence]


def test_memory_of_a_living_account_is_lowered_with_care() -> None:
    before, after = fleet(sold("alice", {"memory.max": 2 << 30})), fleet(sold("alice", {"memory.max": 1 << 30}))
    idle = settled(before)
    assert [type(step) for step in look(after, idle)] == [SetKnob]
    busy = idle._replace(members={"users/alice/login": (5,)})
    assert look(after, busy) == (LowerMemory("users/alice", "1073741824", "2147483648", "max"),)
    assert [type(step) for step in look(before, settled(after)._replace(members=busy.members))] == [SetKnob]


def test_burst_and_quota_cross_without_being_refused() -> None:
    low = fleet(sold("alice", {"cpu.max": 50_000, "cpu.burst": 50_000}))
    high = fleet(sold("alice", {"cpu.max": 100_000, "cpu.burst": 100_000}))
    down = [step.knob for step in look(low, settled(high)) if isinstance(step, SetKnob)]
    up = [step.knob for step in look(high, settled(low)) if isinstance(step, SetKnob)]
    assert (down, up) == (["cpu.max.burst", "cpu.max"], ["cpu.max", "cpu.max.burst"])


def test_a_service_that_is_gone_is_emptied_and_removed() -> None:
    with_web = settled(fleet(sold("alice", {}, service("web"))))
    inside = Process(9, 1001, "users/alice/web")
    world = with_web._replace(processes=(inside,), members={"users/alice/web": (9,)})
    assert [str(step) for step in look(fleet(sold("alice")), world)] == [
        "move process 9 from users/alice/web to users/alice/other",
        "remove users/alice/web",
    ]


def test_an_account_that_is_gone_goes_when_it_is_empty() -> None:
    world = settled(fleet(sold("alice"), sold("bob", uid=1002)))
    gone = fleet(sold("alice"))
    assert [str(step) for step in look(gone, world)] == [
        "remove door 1002",
        "remove users/bob/login",
        "remove users/bob/other",
        "remove users/bob",
    ]
    alive = world._replace(members={"users/bob/login": (4, 5)})
    assert look(gone, alive) == ()
    assert removals(gone, alive).waiting == {"bob": "waits until its processes have ended: 4, 5"}


@pytest.mark.parametrize(
    ("before", "after", "blocked"),
    [(100, 97, False), (100, 96, False), (100, 94, True), (10, 7, False), (10, 6, True), (4, 0, True), (3, 0, False)],
)
def test_many_accounts_never_go_at_once_unasked(before: int, after: int, blocked: bool) -> None:
    def many(number: int) -> Fleet:
        return fleet(*(sold(f"a{n}", uid=2000 + n) for n in range(number)))

    world = settled(many(before))
    going = removals(many(after), world)
    assert bool(going.blocked) == blocked
    assert bool(look(many(after), world)) != blocked
    assert not removals(many(after), world, meant=True).blocked
    assert not removals(many(after), world, known=[f"a{n}" for n in range(before)]).blocked


def test_no_account_goes_when_the_directory_cannot_be_read() -> None:
    world = settled(fleet(sold("alice")))
    assert removals(fleet(removal_blocked="accounts.d is missing"), world).blocked == "accounts.d is missing"


def test_an_account_with_a_wrong_file_stays_as_it_is() -> None:
    world = settled(fleet(sold("alice", {"pids": 50})))
    assert look(fleet(on_last_good={"alice": "wrong"}), world) == ()


limits = some.fixed_dictionaries(
    {},
    optional={
        "cpu.max": some.one_of(some.integers(1_000, 400_000), some.just(UNLIMITED)),
        "cpu.weight": some.integers(1, 10_000),
        "memory.max": some.one_of(some.integers(1 << 20, 1 << 34), some.just(UNLIMITED)),
        "memory.swap": some.integers(0, 1 << 30),
        "pids": some.integers(1, 5_000),
        "io.read": some.integers(4096, 1 << 30),
        "io.weight": some.integers(1, 10_000),
    },
)
names = some.sampled_from(["web", "worker", "cron", "login"])
fleets = some.dictionaries(
    some.sampled_from("abcdefgh"), some.tuples(limits, some.dictionaries(names, limits), some.booleans()), max_size=6
).map(
    lambda accounts: fleet(
        *(
            sold(name, own, *(Service(each, given) for each, given in services.items()), uid=ord(name), suspended=off)
            for name, (own, services, off) in accounts.items()
        )
    )
)
drifts = some.lists(
    some.tuples(some.integers(0, 50), some.sampled_from(sorted(DEFAULTS)), some.sampled_from(["1", "max", "77"])),
    max_size=8,
)
inhabitants = some.lists(
    some.tuples(some.integers(0, 50), some.sampled_from("abcdefghxyz"), some.booleans()), max_size=12
)


@settings(deadline=None)
@given(fleets, fleets, drifts, inhabitants, some.sets(some.sampled_from([str(ord(each)) for each in "abcdefgh"])))
def test_from_any_tree_to_any_fleet_in_one_turn(
    before: Fleet, after: Fleet, drift: list[tuple[int, str, str]], inside: list[tuple[int, str, bool]], lost: set[str]
) -> None:
    world = settled(before)
    cgroups = {path: dict(knobs) for path, knobs in world.cgroups.items()}
    paths = sorted(cgroups)
    for index, knob, text in drift:
        if knob in cgroups[path := paths[index % len(paths)]] and path and "." in knob:
            cgroups[path][knob] = {"io.max": "8:16 rbps=1 wbps=max riops=max wiops=max"}.get(knob, text)
    leaves = [path for path in paths if tree.depth(path) == 3] or ["penalty"]
    processes = [
        Process(pid, ord(who), leaves[index % len(leaves)] if confined else "/user.slice", 1)
        for pid, (index, who, confined) in enumerate(inside, start=100)
    ]
    members: dict[str, tuple[int, ...]] = {}
    for process in processes:
        if process.confined:
            members[process.cgroup] = (*members.get(process.cgroup, ()), process.pid)
    doors = {name: target for name, target in world.doors.items() if name not in lost}
    world = ObservedWorld(cgroups, tuple(processes), members, doors=doors)
    once = carried_out(look(after, world), world)
    assert look(after, once) == (), "a second diff is empty"
    for name in after.accounts:
        assert tree.account(name) in once.cgroups
