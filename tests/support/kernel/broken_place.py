"""`broken_place.py PLACE WORDS…`: runs the command with one function of ours that raises, for bob alone."""

import functools
import importlib
import pwd
import sys
from collections.abc import Callable
from typing import Any

from paas_isolate.linux.process import procfs

MESSAGE = "\x1b[2Jbroken\nTraceback of nobody, for bob"
BELOW = "users/bob"


def _bob() -> int:
    return pwd.getpwnam("bob").pw_uid


Fits = Callable[[tuple[Any, ...]], bool]
PLACES: dict[str, tuple[str, str, Fits]] = {
    "parsing": ("paas_isolate.source.spec_reader", "DocumentKind.parse", lambda args: "bob" in args[2]),
    "selling": ("paas_isolate.spec.resolve", "Resolver.resolve", lambda args: args[1].name == "bob"),
    "copies": ("paas_isolate.source.last_good", "LastGood.remember", lambda args: args[1].name == "bob"),
    "knobs": ("paas_isolate.changes.knob_compiler", "KnobCompiler.knobs", lambda args: args[1].name == "bob"),
    "doors": ("paas_isolate.changes.doors", "_targets", lambda args: args[0].name == "bob"),
    "services": ("paas_isolate.changes.supervision", "_programs", lambda args: args[0].name == "bob"),
    "looking": ("paas_isolate.observe", "_Observation.observe", lambda args: args[1].startswith(BELOW)),
    "processes": ("paas_isolate.observe", "inspect_process", lambda args: procfs.effective_uid(args[2]) == _bob()),
    "records": ("paas_isolate.linux.services.records", "RunRecords.read", lambda args: args[1].startswith(BELOW)),
    "placing": ("paas_isolate.changes.placement", "Placement.place", lambda args: args[1].uid == _bob()),
    "wishing": ("paas_isolate.changes.supervision", "_wants", lambda args: args[0].launch.account == "bob"),
    "comparing": ("paas_isolate.changes.diff", "_repairs", lambda args: args[0].startswith(BELOW)),
    "applying": ("paas_isolate.apply", "_carry_out", lambda args: args[1].owner == "bob"),
    "links": ("paas_isolate.linux.pam.doors", "DoorDirectory.observe", lambda _: True),
    "telling": ("paas_isolate.service_state", "condition", lambda args: args[0].launch.account == "bob"),
    "using": ("paas_isolate.cli.status", "usage", lambda args: args[1].startswith(BELOW)),
}


def sabotage(place: str) -> None:
    module, path, fits = PLACES[place]
    within: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        within = getattr(within, each)
    whole = getattr(within, name)

    @functools.wraps(whole)
    def broken(*args: Any, **named: Any) -> Any:
        if fits(args):
            raise ZeroDivisionError(MESSAGE)
        return whole(*args, **named)

    setattr(within, name, broken)


if __name__ == "__main__":
    from paas_isolate.cli.main import run

    sabotage(sys.argv[1])
    sys.exit(run(sys.argv[2:]))
