"""Supervised services and their last runs, for tests of what should run now."""

from collections.abc import Collection, Mapping

from paas_isolate.changes.supervision import ManagedServices, desired_services, managed_services
from paas_isolate.model.account import Account, Fleet, Host, Service
from paas_isolate.model.run import DesiredServices, ProgramExit, Run
from paas_isolate.model.service_program import ServiceProgram
from paas_isolate.model.world import Knobs

NOW = 1_700_000_000.0
"""A Tuesday, 22:13:20 UTC."""
WEB, TWO, THREE = "users/alice/web", "users/alice/web.2", "users/alice/web.3"

WELL, ILL = ProgramExit(status=0, at=NOW), ProgramExit(status=1, at=NOW)


def sell(
    work: ServiceProgram, *, listen: int = 0, suspended: bool = False, suspension: str = "freeze", home: str = "/h"
) -> Fleet:
    """alice, with one service `web`."""
    service = Service("web", listen=listen, work=work)
    addresses = ("10.77.0.2", "fd77::2")
    sold = Account(
        "alice", "alice", {"alice": 1001}, "alice", home, None, {}, (service,), suspended, addresses if listen else ()
    )
    return Fleet(Host(suspension=suspension), {"alice": sold})


def keep(
    fleet: Fleet,
    cgroups: Mapping[str, Knobs] | None = None,
    held: Collection[str] = (),
    stopped: Collection[str] = (),
) -> ManagedServices:
    return managed_services(fleet, cgroups or {}, held, stopped)[0]


def program(**work: object) -> ManagedServices:
    return keep(sell(ServiceProgram("serve", **work)))  # type: ignore[arg-type]  # a test says which


def ran(kept: ManagedServices, leaf: str = WEB, *, starts: int = 1, apart: float = 10.0, **more: object) -> Run:
    """The last of some starts, so many seconds apart, of which the last was just now."""
    begun = tuple(NOW - apart * (starts - 1 - i) for i in range(starts))
    return Run(kept[leaf].launch.digest, starts=begun, pid=7, start=70, **more)  # type: ignore[arg-type]


def wished(
    kept: ManagedServices, runs: Mapping[str, Run], *, now: float = NOW, up: Collection[str] = ()
) -> DesiredServices:
    living = {leaf for leaf, run in runs.items() if run.alive}
    return desired_services(kept, runs, living, now, lambda *_: up)
