"""What the fleet should look like in the kernel: the desired World, from what was sold."""

from collections.abc import Callable, Collection, Iterator

from paas_isolate.changes.doors import doors_as_sold, staying_doors
from paas_isolate.changes.place import Places
from paas_isolate.errors import HostError
from paas_isolate.model import tree
from paas_isolate.model.account import LOGIN, OTHER, Fleet, Host, Service, Sold
from paas_isolate.model.knobs import (
    CONTROLLERS,
    FREEZE,
    SUBTREE_CONTROL,
    Surroundings,
    effective_memory,
    knobs,
)
from paas_isolate.model.limits import Limits, Percent
from paas_isolate.model.machine import Machine
from paas_isolate.model.world import Knobs, World

LOGIN_RESERVE = 32
"""Processes that only the logins of an account may have: a fork bomb in a service leaves room for ssh."""

DeviceOf = Callable[[str], str]
"""The `major:minor` of the disk that a path lies on. Raises HostError where it lies on none."""


def as_sold(
    fleet: Fleet,
    *,
    machine: Machine,
    device_of: DeviceOf,
    held: Collection[str] = (),
    weight_at: str = tree.ROOT,
    controllers: tuple[str, ...] = CONTROLLERS,
    with_doors: bool = True,
) -> World:
    """The cgroups and doors that were sold, whatever there is now: the same at every look of a run.

    `held` are accounts and services (`alice`, `alice/web`, by directory) that an administrator has frozen;
    `weight_at` is the cgroup whose cpu.weight sets all customers together against the rest of the machine.
    """
    control = " ".join(name for name in CONTROLLERS if name in controllers)
    cgroups: dict[str, Knobs] = dict(_house(fleet.host, machine, control, weight_at))
    unmet: dict[str, str] = {}
    catalogue = _Catalogue(machine, control)
    for sold in fleet.accounts.values():
        cgroups.update(_account(sold, catalogue, _Disk(device_of, sold, unmet), held))
    return World(cgroups, unmet=unmet, doors=doors_as_sold(fleet, held) if with_doors else {})


def desire(fleet: Fleet, sold: World, observed: World, *, staying: Collection[str] = ()) -> World:
    """What was sold, with what must stay, and the processes that should be elsewhere. `staying` are account
    directories that no spec names and that must not be removed yet."""
    cgroups = dict(sold.cgroups)
    for path, found in observed.cgroups.items() if staying else ():
        if tree.directory_of(path) in staying:
            cgroups.setdefault(path, found)
    places = Places(fleet)
    elsewhere = tuple(moved for process in observed.processes if (moved := places.moved(process)))
    leaving = {process.pid for process in elsewhere}
    for path, pids in observed.members.items():
        if path in observed.cgroups and path not in cgroups and not leaving.issuperset(pids):
            cgroups[path] = observed.cgroups[path]  # a process that is not the customer's still lives in it
    doors = sold.doors
    if staying and doors:
        doors = {**staying_doors(observed.doors, staying), **doors}
    return World(cgroups, elsewhere, unmet=sold.unmet, doors=doors)


def limited_by(sold: Sold) -> Iterator[tuple[str, Service]]:
    """The leaves of an account: its services, and the two that every account has."""
    given = {service.name for service in sold.services}
    for service in (*sold.services, *(ours for ours in _OURS if ours.name not in given)):
        yield tree.leaf(sold.directory, service.name), service


_OURS = (Service(LOGIN), Service(OTHER))


class _Disk:
    """Which disk the io limits of one account's cgroups are for. What lies on none is noted in `unmet`."""

    def __init__(self, device_of: DeviceOf, sold: Sold, unmet: dict[str, str]) -> None:
        self._device_of, self._sold, self._unmet = device_of, sold, unmet

    def below(self, cgroup: str, limits: Limits) -> str:
        """The device for the io limits of a cgroup; '' where it has none to keep."""
        if _RATES.isdisjoint(limits):
            return ""
        of = str(limits.get("io.of") or self._sold.limits.get("io.of") or self._sold.home)
        try:
            return self._device_of(self._sold.home + of[1:] if of.partition("/")[0] == "~" else of)
        except HostError as error:
            self._unmet[cgroup] = f"io limits of {cgroup} cannot be kept: {error}"
            return ""


_RATES = frozenset({"io.read", "io.write", "io.read_ops", "io.write_ops"})


def _house(host: Host, machine: Machine, control: str, weight_at: str) -> Iterator[tuple[str, Knobs]]:
    around = Surroundings(machine, machine.memory)
    limits = dict(host.ceiling)
    weight = limits.pop("cpu.weight", 100)
    pids = limits.get("pids")
    if isinstance(pids, Percent):
        limits["pids"] = int(pids.of_hundred * machine.pid_max / 100)
    ceiling = knobs(limits, around)
    del ceiling[FREEZE]
    root: dict[str, str] = {SUBTREE_CONTROL: control}
    if weight_at == tree.ROOT:
        root["cpu.weight"] = str(weight)
    else:
        yield weight_at, {"cpu.weight": str(weight)}
    yield tree.ROOT, root
    yield tree.USERS, {SUBTREE_CONTROL: control, **ceiling}
    yield tree.PENALTY, knobs(host.penalty, around)


class _Catalogue:
    """Knobs by what was sold: thousands of customers buy the same, and share one mapping then."""

    def __init__(self, machine: Machine, control: str) -> None:
        self.machine = machine
        self.control = control
        self._known: dict[object, Knobs] = {}

    def knobs(self, limits: Limits, around: Surroundings, control: str | None = None) -> Knobs:
        """`control` is what the cgroup hands down; a leaf has no children to hand anything."""
        key = (*limits.items(), around, control)
        if (known := self._known.get(key)) is None:
            handed = {} if control is None else {SUBTREE_CONTROL: control}
            known = self._known[key] = handed | knobs(limits, around)
        return known


def _account(sold: Sold, catalogue: _Catalogue, disk: _Disk, held: Collection[str]) -> Iterator[tuple[str, Knobs]]:
    machine, path = catalogue.machine, tree.account(sold.directory)
    around = Surroundings(machine, machine.memory, disk.below(path, sold.limits))
    own = catalogue.knobs(sold.limits, around, catalogue.control)
    yield path, _frozen(own) if sold.suspended or sold.directory in held else own
    inside = Surroundings(machine, effective_memory(sold.limits, around))
    for path, service in limited_by(sold):
        limits = _with_house_rules(service, sold.limits)
        device = disk.below(path, limits)
        own = catalogue.knobs(limits, inside._replace(device=device) if device else inside)
        yield path, _frozen(own) if held and f"{sold.directory}/{service.name}" in held else own


def _frozen(own: Knobs) -> Knobs:
    return {**own, FREEZE: "1"}


def _with_house_rules(service: Service, account: Limits) -> Limits:
    """What a leaf has where its spec says nothing: room for a login, and what dies when memory is out."""
    rules: dict[str, object] = {}
    pids = account.get("pids")
    if service.name != LOGIN and isinstance(pids, int):
        rules["pids"] = max(1, pids - min(LOGIN_RESERVE, pids // 2))
    if service.name not in (LOGIN, OTHER):
        rules["memory.kill"] = "leaf"
    return {**rules, **service.limits}  # type: ignore[dict-item]
