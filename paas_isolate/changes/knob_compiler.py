"""The limits of an account -> the knobs of each of its cgroups."""

from collections.abc import Callable

from paas_isolate.errors import HostError
from paas_isolate.model import tree
from paas_isolate.model.account import LOGIN, OTHER, Account, Service
from paas_isolate.model.identity import IdentityCache
from paas_isolate.model.knobs import SUBTREE_CONTROL, LimitContext, effective_memory, knobs
from paas_isolate.model.limits import Limits
from paas_isolate.model.machine import Machine
from paas_isolate.model.world import Knobs

LOGIN_RESERVE = 32
"""Processes that are reserved for the logins of an account: a fork bomb in a service leaves room for ssh."""

DeviceOf = Callable[[str], str]
"""Returns the `major:minor` of the disk that a path is on. Raises HostError where it is on none."""

_OURS = (Service(LOGIN), Service(OTHER))
_RATES = frozenset({"io.read", "io.write", "io.read_ops", "io.write_ops"})


def leaves(services: tuple[Service, ...]) -> tuple[Service, ...]:
    """The leaves of an account: its services with their replicas, and the two that every account has."""
    names = {service.name for service in services}
    replicated = (replica for service in services for replica in replicas(service))
    return (*replicated, *(ours for ours in _OURS if ours.name not in names))


def replicas(service: Service) -> tuple[Service, ...]:
    """A service once for each of its replicas, which have a leaf each: `web`, `web.2`, `web.3`."""
    more = range(2, (service.work.replicas or 1) + 1) if service.work.run else ()
    return (service, *(service._replace(name=f"{service.name}.{index}") for index in more))


class _Bundle:
    """What all accounts with the same limits and services (the same objects) have in common."""

    def __init__(self, limits: Limits, services: tuple[Service, ...]) -> None:
        of_leaves = {f"/{service.name}": _with_defaults(service, limits) for service in leaves(services)}
        self.limits: dict[str, Limits] = {"": limits, **of_leaves}
        """The limits of each cgroup, by its suffix: what follows the account's own path."""
        self.with_io = {suffix: limits for suffix, limits in self.limits.items() if not _RATES.isdisjoint(limits)}
        self.compiled: dict[tuple[str, ...], tuple[tuple[str, Knobs], ...]] = {}
        """The knobs of all cgroups, by the disks of those with io limits."""


class KnobCompiler:
    """Compiles limits to knobs. Thousands of customers have the same plan: equal knobs are one shared mapping.

    `control` is the cgroup.subtree_control of an account.
    """

    def __init__(self, machine: Machine, control: str, device_of: DeviceOf) -> None:
        self._machine = machine
        self._control = control
        self._device_of = device_of
        self._bundles = IdentityCache[_Bundle]()
        self._compiled: dict[object, Knobs] = {}

    def knobs(self, account: Account, unmet: dict[str, str]) -> tuple[tuple[str, Knobs], ...]:
        """The knobs of each cgroup of an account, by what follows the account's own path. Adds to `unmet`, by cgroup,
        io limits whose path is on no disk."""
        bundle = self._bundles.get(account.limits, account.services)
        if bundle is None:
            bundle = _Bundle(account.limits, account.services)
            self._bundles.set(bundle, account.limits, account.services)
        disks: tuple[str, ...] = ()
        if bundle.with_io:
            disks = tuple([self._disk(account, *entry, unmet) for entry in bundle.with_io.items()])
        if (compiled := bundle.compiled.get(disks)) is None:
            compiled = bundle.compiled[disks] = self._all_of(bundle, dict(zip(bundle.with_io, disks, strict=True)))
        return compiled

    def _disk(self, account: Account, suffix: str, limits: Limits, unmet: dict[str, str]) -> str:
        """The device for the io limits of a cgroup; '' where there is none."""
        path = str(limits.get("io.of") or account.limits.get("io.of") or account.home)
        try:
            return self._device_of(account.home + path[1:] if path.partition("/")[0] == "~" else path)
        except HostError as error:
            cgroup = tree.account(account.directory) + suffix
            unmet[cgroup] = f"io limits of {cgroup} cannot be kept: {error}"
            return ""

    def _all_of(self, bundle: _Bundle, disks: dict[str, str]) -> tuple[tuple[str, Knobs], ...]:
        (_, limits), *of_leaves = bundle.limits.items()
        around = LimitContext(self._machine, self._machine.memory, disks.get("", ""))
        inside = LimitContext(self._machine, effective_memory(limits, around))
        own = "", self._own(limits, around, self._control)
        return own, *((end, self._own(leaf, inside._replace(device=disks.get(end, "")))) for end, leaf in of_leaves)

    def _own(self, limits: Limits, around: LimitContext, control: str | None = None) -> Knobs:
        """`control` is the cgroup.subtree_control; None for a leaf, which has no children."""
        key = (*limits.items(), around, control)
        if (own := self._compiled.get(key)) is None:
            subtree = {} if control is None else {SUBTREE_CONTROL: control}
            texts = subtree | knobs(limits, around)
            if not around.device and not _RATES.isdisjoint(limits):
                del texts["io.max"]  # the disk is unknown now, so the limit stays as it is
            own = self._compiled[key] = texts
        return own


def _with_defaults(service: Service, account: Limits) -> Limits:
    """The limits of a leaf with our defaults: leave processes for logins, and kill a service as a whole when memory
    runs out."""
    defaults: dict[str, object] = {}
    pids = account.get("pids")
    if service.name != LOGIN and isinstance(pids, int):
        defaults["pids"] = max(1, pids - min(LOGIN_RESERVE, pids // 2))
    if service.name not in (LOGIN, OTHER):
        defaults["memory.kill"] = "leaf"
    return {**defaults, **service.limits}  # type: ignore[dict-item]
