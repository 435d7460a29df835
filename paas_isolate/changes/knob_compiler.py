"""What was sold -> the knobs of every cgroup of an account."""

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
"""Processes that only the logins of an account may have: a fork bomb in a service leaves room for ssh."""

DeviceOf = Callable[[str], str]
"""The `major:minor` of the disk that a path lies on. Raises HostError where it lies on none."""

_OURS = (Service(LOGIN), Service(OTHER))
_RATES = frozenset({"io.read", "io.write", "io.read_ops", "io.write_ops"})


def leaves(services: tuple[Service, ...]) -> tuple[Service, ...]:
    """The leaves of an account: its services, and the two that every account has."""
    given = {service.name for service in services}
    all_of_them = (each for service in services for each in replicas(service))
    return (*all_of_them, *(ours for ours in _OURS if ours.name not in given))


def replicas(service: Service) -> tuple[Service, ...]:
    """A service as many times as it runs, each with a leaf of its own: `web`, `web.2`, `web.3`."""
    more = range(2, (service.work.replicas or 1) + 1) if service.work.run else ()
    return (service, *(service._replace(name=f"{service.name}.{index}") for index in more))


class _Bundle:
    """What accounts with the very same limits and services get."""

    def __init__(self, limits: Limits, services: tuple[Service, ...]) -> None:
        ruled = {f"/{service.name}": _with_defaults(service, limits) for service in leaves(services)}
        self.parts: dict[str, Limits] = {"": limits, **ruled}
        """The limits of each cgroup, by what follows the account's own path."""
        self.rated = {end: own for end, own in self.parts.items() if not _RATES.isdisjoint(own)}
        self.known: dict[tuple[str, ...], tuple[tuple[str, Knobs], ...]] = {}
        """The knobs of all parts, by the disks of the rated ones."""


class KnobCompiler:
    """Knobs by what was sold: thousands of customers buy the same, and share one mapping then."""

    def __init__(self, machine: Machine, control: str, device_of: DeviceOf) -> None:
        self._machine = machine
        self._control = control
        self._device_of = device_of
        self._bundles = IdentityCache[_Bundle]()
        self._known: dict[object, Knobs] = {}

    def knobs(self, account: Account, unmet: dict[str, str]) -> tuple[tuple[str, Knobs], ...]:
        """Of each cgroup of an account, by what follows the account's own path. What lies on no disk is noted in
        `unmet`, by cgroup."""
        bundle = self._bundles.get(account.limits, account.services)
        if bundle is None:
            bundle = _Bundle(account.limits, account.services)
            self._bundles.set(bundle, account.limits, account.services)
        disks = tuple([self._disk(account, *part, unmet) for part in bundle.rated.items()]) if bundle.rated else ()
        if (found := bundle.known.get(disks)) is None:
            found = bundle.known[disks] = self._all_of(bundle, dict(zip(bundle.rated, disks, strict=True)))
        return found

    def _disk(self, account: Account, end: str, limits: Limits, unmet: dict[str, str]) -> str:
        """The device for the io limits of a cgroup; '' where it has none to keep."""
        of = str(limits.get("io.of") or account.limits.get("io.of") or account.home)
        try:
            return self._device_of(account.home + of[1:] if of.partition("/")[0] == "~" else of)
        except HostError as error:
            cgroup = tree.account(account.directory) + end
            unmet[cgroup] = f"io limits of {cgroup} cannot be kept: {error}"
            return ""

    def _all_of(self, bundle: _Bundle, disks: dict[str, str]) -> tuple[tuple[str, Knobs], ...]:
        (_, limits), *parts = bundle.parts.items()
        around = LimitContext(self._machine, self._machine.memory, disks.get("", ""))
        inside = LimitContext(self._machine, effective_memory(limits, around))
        own = "", self._own(limits, around, self._control)
        return own, *((end, self._own(it, inside._replace(device=disks.get(end, "")))) for end, it in parts)

    def _own(self, limits: Limits, around: LimitContext, control: str | None = None) -> Knobs:
        """`control` is what the cgroup hands down; a leaf has no children to hand anything."""
        key = (*limits.items(), around, control)
        if (known := self._known.get(key)) is None:
            handed = {} if control is None else {SUBTREE_CONTROL: control}
            own = handed | knobs(limits, around)
            if not around.device and not _RATES.isdisjoint(limits):
                del own["io.max"]  # which disk is meant cannot be said now: the limit stays as it is
            known = self._known[key] = own
        return known


def _with_defaults(service: Service, account: Limits) -> Limits:
    """What a leaf has where its spec says nothing: room for a login, and what dies when memory is out."""
    rules: dict[str, object] = {}
    pids = account.get("pids")
    if service.name != LOGIN and isinstance(pids, int):
        rules["pids"] = max(1, pids - min(LOGIN_RESERVE, pids // 2))
    if service.name not in (LOGIN, OTHER):
        rules["memory.kill"] = "leaf"
    return {**rules, **service.limits}  # type: ignore[dict-item]
