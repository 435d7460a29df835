"""The network's own turn: whoever took the ruleset, an address or the gate away finds it back at once."""

from paas_isolate.apply import Outcome, apply
from paas_isolate.changes.diff import diff
from paas_isolate.changes.steps import Changes, SetRules
from paas_isolate.changes.wiring import network_as_sold, without_taken
from paas_isolate.model.network import Network
from paas_isolate.model.world import World
from paas_isolate.reconcile import Wheel


def unruled(wheel: Wheel) -> Changes:
    """The step that lays the ruleset where there is none, before anything else is looked at: meanwhile everybody
    reaches everybody. Of the same fleets as `wires_differ`."""
    if wheel.wires is None or wheel.wires.ruled():
        return ()
    wanted, _ = without_taken(network_as_sold(wheel.fleet), Network(taken=wheel.wires.taken()))
    return (SetRules(wanted.rules, None),)


def wires_differ(wheel: Wheel) -> Changes:
    """The steps in the network, of a fleet in which nobody is kept as he was and nobody leaves."""
    if wheel.wires is None:
        return ()
    observed = wheel.wires.look()
    wanted, _ = without_taken(network_as_sold(wheel.fleet), observed)
    return diff(World(network=wanted), World(network=observed))


def rewired(wheel: Wheel, steps: Changes) -> tuple[Outcome, ...]:
    return tuple(apply(wheel.cgroups, steps, None, wheel.wires))
