"""The desired state of the machine, from the fleet."""

from collections.abc import Collection, Iterator

from paas_isolate.changes.bandwidth import bandwidth_now, desired_bandwidth, left_rules, unmet_bandwidth
from paas_isolate.changes.doors import desired_doors, preserved_doors
from paas_isolate.changes.knob_compiler import DeviceOf, KnobCompiler
from paas_isolate.changes.network import desired_network, network_now, staying_uids
from paas_isolate.changes.placement import Placement
from paas_isolate.changes.quotas import desired_quotas, quotas_now, unmet_quotas
from paas_isolate.changes.refusals import as_refused
from paas_isolate.changes.views import desired_views, preserved_views
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.bandwidth import Bandwidth
from paas_isolate.model.intent import Intent
from paas_isolate.model.knobs import CONTROLLERS, FREEZE, SUBTREE_CONTROL, LimitContext, knobs
from paas_isolate.model.limits import Percent
from paas_isolate.model.machine import Machine
from paas_isolate.model.view import Views
from paas_isolate.model.world import DesiredWorld, Knobs, ObservedWorld


def desired_static(
    intent: Intent,
    *,
    device_of: DeviceOf,
    weight_cgroup: str = tree.ROOT,
    with_doors: bool = True,
    with_views: bool = True,
    with_bandwidth: bool = True,
) -> DesiredWorld:
    """The part of the desired state that follows from the specifications alone. It is the same during a whole pass.

    `device_of` returns the device of a path for io.max (`8:0`). `weight_cgroup` is the cgroup whose cpu.weight weighs
    all customers together against the rest of the machine. Without doors, views or bandwidth, none are desired.
    """
    fleet, machine, frozen = intent.fleet, intent.machine, intent.frozen
    control = " ".join(name for name in CONTROLLERS if name in intent.controllers)
    cgroups: dict[str, Knobs] = dict(_defaults(fleet.host, machine, control, weight_cgroup))
    unmet: dict[str, str] = {}
    compiler = KnobCompiler(machine, control, device_of)
    for account in fleet.accounts.values():
        path = tree.account(account.directory)
        for suffix, texts in compiler.knobs(account, unmet):
            cgroups[path + suffix] = texts
    suspended = [account.directory for account in fleet.accounts.values() if account.suspended]
    for path in map(tree.account, (*suspended, *frozen)):
        if path in cgroups:
            cgroups[path] = {**cgroups[path], FREEZE: "1"}
    doors = desired_doors(fleet, frozen) if with_doors else {}
    return DesiredWorld(
        cgroups,
        unmet=unmet,
        doors=doors,
        network=desired_network(fleet),
        views=desired_views(fleet) if with_views else Views(),
        quotas=desired_quotas(fleet),
        bandwidth=desired_bandwidth(fleet) if with_bandwidth else Bandwidth(),
    )


def desired_state(
    fleet: Fleet,
    static: DesiredWorld,
    observed: ObservedWorld,
    *,
    staying: Collection[str] = (),
    places: Placement | None = None,
) -> DesiredWorld:
    """The whole desired state: `static`, what must stay of `observed`, and the processes that should be elsewhere.

    `staying` are account directories that no specification names and that must not be removed yet. `places` is given
    where `fleet` is only a part of all accounts: the placement of all.
    """
    cgroups = dict(static.cgroups)
    for path, texts in observed.cgroups.items() if staying else ():
        if tree.directory_of(path) in staying:
            cgroups.setdefault(path, texts)
    places = places or Placement(fleet)
    busy = observed.runs.keys()  # a leaf with a run is the supervision's: its processes stay until they are stopped
    placeable = (process for process in observed.processes if process.cgroup not in busy)

    def frozen(path: str) -> bool:
        return any(cgroups.get(each, {}).get(FREEZE) == "1" for each in (path, tree.parent(path)))

    placed = (as_refused(process, places.correction(process), frozen) for process in placeable)
    elsewhere = tuple(moved for moved in placed if moved)
    leaving = {process.pid for process in elsewhere}
    for path, pids in observed.members.items():
        if path in observed.cgroups and path not in cgroups and not leaving.issuperset(pids):
            cgroups[path] = observed.cgroups[path]  # a process that is not moved still lives in it
    doors = static.doors
    if staying and doors:
        doors = {**preserved_doors(fleet, observed.doors, staying), **doors}
    left = staying_uids(fleet, observed, staying)
    network, refused = network_now(static.network, observed.network, fleet, left)
    views = preserved_views(static.views, observed.views, staying)
    slow = unmet_bandwidth(static.bandwidth, observed.bandwidth)
    unmet = {**static.unmet, **refused, **unmet_quotas(observed.quotas), **slow}
    quotas = quotas_now(static.quotas, observed.quotas, staying)
    return DesiredWorld(
        cgroups,
        elsewhere,
        unmet=unmet,
        late=places.late(observed.processes),
        doors=doors,
        network=network,
        views=views,
        quotas=quotas,
        bandwidth=bandwidth_now(static.bandwidth, observed.bandwidth, left_rules(fleet, observed.bandwidth, staying)),
        revoked=frozenset(_revoked(fleet, observed)) if fleet.revoked else frozenset(),
    )


def _revoked(fleet: Fleet, observed: ObservedWorld) -> Iterator[tuple[str, int]]:
    for process in observed.processes:
        if process.uid in fleet.revoked.get(tree.directory_of(process.cgroup), ()):
            yield process.cgroup, process.uid


def _defaults(host: Host, machine: Machine, control: str, weight_cgroup: str) -> Iterator[tuple[str, Knobs]]:
    around = LimitContext(machine, machine.memory)
    limits = dict(host.ceiling)
    weight = limits.pop("cpu.weight", 100)
    pids = limits.get("pids")
    if isinstance(pids, Percent):
        limits["pids"] = int(pids.of_hundred * machine.pid_max / 100)
    ceiling = knobs(limits, around)
    del ceiling[FREEZE]
    root: dict[str, str] = {SUBTREE_CONTROL: control}
    if weight_cgroup == tree.ROOT:
        root["cpu.weight"] = str(weight)
    else:
        yield weight_cgroup, {"cpu.weight": str(weight)}
    yield tree.ROOT, root
    yield tree.USERS, {SUBTREE_CONTROL: control, **ceiling}
    yield tree.PENALTY, knobs(host.penalty, around)
