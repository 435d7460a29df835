"""The network's own turn: whoever took the ruleset, an address or the gate away finds it back at once."""

from contextlib import suppress
from functools import cache

from paas_isolate.apply import Ending, Outcome, apply
from paas_isolate.changes.diff import diff
from paas_isolate.changes.steps import Changes, SetRules
from paas_isolate.changes.wiring import network_as_sold, without_taken
from paas_isolate.errors import HostError
from paas_isolate.model.network import Network, Prepared, Rules
from paas_isolate.model.world import World
from paas_isolate.reconcile import Look, Wheel


def prepared(wheel: Wheel, last: Look) -> Prepared | None:
    """For the day on which the ruleset is gone. None where it is not as it should be now. HostError."""
    rules = last.desired.network.rules
    if wheel.wires is None or rules is None or rules != last.observed.network.rules:
        return None
    return wheel.wires.prepare(rules)


def unruled(wheel: Wheel) -> bool:
    """Whether the ruleset is gone: until it is laid everybody reaches everybody."""
    return wheel.wires is not None and not wheel.wires.ruled()


def ruled_again(wheel: Wheel, ready: Prepared | None) -> tuple[Outcome, ...]:
    """Lay the ruleset before anything else is looked at: what is `ready`, where that is what the fleet has bought. Of
    the same fleets as `wires_differ`."""
    wires = wheel.wires
    assert wires is not None  # of which the ruleset is gone
    taken = wires.taken()

    @cache
    def wanted() -> Rules | None:
        return without_taken(network_as_sold(wheel.fleet), Network(taken=taken))[0].rules

    if ready and ready.taken == taken:
        with suppress(HostError):  # what is wrong with it, the other way tells
            wires.lay(ready, wanted)
            return (Outcome(SetRules(wanted(), None), Ending.DONE),)
    return rewired(wheel, (SetRules(wanted(), None),))


def wires_differ(wheel: Wheel) -> Changes:
    """The steps in the network, of a fleet in which nobody is kept as he was and nobody leaves."""
    if wheel.wires is None:
        return ()
    observed = wheel.wires.look()
    wanted, _ = without_taken(network_as_sold(wheel.fleet), observed)
    return diff(World(network=wanted), World(network=observed))


def rewired(wheel: Wheel, steps: Changes) -> tuple[Outcome, ...]:
    return tuple(apply(wheel.cgroups, steps, None, wheel.wires))
