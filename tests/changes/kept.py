"""Services that are kept, and what ran of them: for tests of what is to run now."""

from collections.abc import Collection, Mapping

from paas_isolate.changes.keeping import Keep, keep_as_sold, wish
from paas_isolate.model.account import Fleet, Host, Service, Sold
from paas_isolate.model.running import End, Run, Wish
from paas_isolate.model.work import Work
from paas_isolate.model.world import Knobs

NOW = 1_700_000_000.0
"""A Tuesday, 22:13:20 UTC."""
WEB, TWO, THREE = "users/alice/web", "users/alice/web.2", "users/alice/web.3"

WELL, ILL = End(status=0, at=NOW), End(status=1, at=NOW)


def sell(
    work: Work, *, listen: int = 0, suspended: bool = False, suspension: str = "freeze", home: str = "/h"
) -> Fleet:
    """alice, with one service `web`."""
    service = Service("web", listen=listen, work=work)
    addresses = ("10.77.0.2", "fd77::2")
    sold = Sold(
        "alice", "alice", {"alice": 1001}, "alice", home, None, {}, (service,), suspended, addresses if listen else ()
    )
    return Fleet(Host(suspension=suspension), {"alice": sold})


def keep(
    fleet: Fleet,
    cgroups: Mapping[str, Knobs] | None = None,
    held: Collection[str] = (),
    stopped: Collection[str] = (),
) -> Keep:
    return keep_as_sold(fleet, cgroups or {}, held, stopped)[0]


def program(**work: object) -> Keep:
    return keep(sell(Work("serve", **work)))  # type: ignore[arg-type]  # a test says which


def ran(kept: Keep, leaf: str = WEB, *, starts: int = 1, apart: float = 10.0, **more: object) -> Run:
    """The last of some starts, so many seconds apart, of which the last was just now."""
    begun = tuple(NOW - apart * (starts - 1 - i) for i in range(starts))
    return Run(kept[leaf].launch.digest, begun=begun, pid=7, start=70, **more)  # type: ignore[arg-type]


def wished(kept: Keep, runs: Mapping[str, Run], *, now: float = NOW, up: Collection[str] = ()) -> Wish:
    living = {leaf for leaf, run in runs.items() if run.alive}
    return wish(kept, runs, living, now, lambda *_: up)
