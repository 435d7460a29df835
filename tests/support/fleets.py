"""Small fleets, in one line each."""

from paas_isolate.model.account import Account, Fleet, Host, Match, Service
from paas_isolate.model.limits import Limits
from paas_isolate.model.machine import Machine
from paas_isolate.model.world import DesiredWorld, ObservedWorld

MACHINE = Machine(cores=2, cpu_set="0-1", memory=4 << 30, swap=0, pid_max=32768)
DISK = "254:0"


def sold(name: str, limits: Limits | None = None, *services: Service, uid: int = 1001, **more: object) -> Account:
    given = {
        "name": name,
        "directory": name,
        "uids": {name: uid},
        "owner": name,
        "home": f"/home/{name}",
        "plan": None,
        "limits": limits or {},
        "services": services,
    }
    return Account(**{**given, **more})  # type: ignore[arg-type]


def service(
    name: str, limits: Limits | None = None, *, program: str = "", command: str = "", **more: object
) -> Service:
    return Service(name, limits or {}, Match(program=program, command=command), **more)  # type: ignore[arg-type]


def fleet(*accounts: Account, host: Host | None = None, **more: object) -> Fleet:
    return Fleet(host or Host(), {account.name: account for account in accounts}, **more)  # type: ignore[arg-type]


def carried_out(world: DesiredWorld) -> ObservedWorld:
    """The machine as it is when everything that is desired was done."""
    return ObservedWorld(
        world.cgroups, doors=world.doors, network=world.network, views=world.views, quotas=world.quotas
    )
