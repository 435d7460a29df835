"""The network's own turn: whoever took the ruleset, an address or the gate away finds it back at once."""

from contextlib import suppress
from functools import cache

from paas_isolate.apply import Outcome, Status, apply
from paas_isolate.changes.diff import diff
from paas_isolate.changes.network import desired_network, drop_ports_in_use
from paas_isolate.errors import HostError
from paas_isolate.model.network import Network, PreparedRuleset, Rules
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.network import SetRules
from paas_isolate.model.world import World
from paas_isolate.reconcile import Comparison, Wheel


def prepared(wheel: Wheel, last: Comparison) -> PreparedRuleset | None:
    """For the day on which the ruleset is gone. None where it is not as it should be now. HostError."""
    rules = last.desired.network.rules
    if wheel.network is None or rules is None or rules != last.observed.network.rules:
        return None
    return wheel.network.prepare(rules)


def without_ruleset(wheel: Wheel) -> bool:
    """Whether the ruleset is gone: until it is laid everybody reaches everybody."""
    return wheel.network is not None and not wheel.network.has_ruleset()


def reinstall_ruleset(wheel: Wheel, ready: PreparedRuleset | None) -> tuple[Outcome, ...]:
    """Lay the ruleset before anything else is looked at: what is `ready`, where that is what the fleet has bought. Of
    the same fleets as `wires_differ`."""
    wires = wheel.network
    assert wires is not None  # of which the ruleset is gone
    taken = wires.ports_in_use()

    @cache
    def wanted() -> Rules | None:
        return drop_ports_in_use(desired_network(wheel.fleet), Network(ports_in_use=taken))[0].rules

    if ready and ready.ports_in_use == taken:
        with suppress(HostError):  # what is wrong with it, the other way tells
            wires.install_prepared(ready, wanted)
            return (Outcome(SetRules(wanted(), None), Status.DONE),)
    return apply_network(wheel, (SetRules(wanted(), None),))


def network_changes(wheel: Wheel) -> Changes:
    """The steps in the network, of a fleet in which nobody is kept as he was and nobody leaves."""
    if wheel.network is None:
        return ()
    observed = wheel.network.observe()
    wanted, _ = drop_ports_in_use(desired_network(wheel.fleet), observed)
    return diff(World(network=wanted), World(network=observed))


def apply_network(wheel: Wheel, steps: Changes) -> tuple[Outcome, ...]:
    return tuple(apply(wheel.cgroups, steps, None, wheel.network))
