"""The network's own turn: whoever took the ruleset, an address or the gate away finds it back at once."""

from contextlib import suppress
from functools import cache

from paas_isolate.apply import apply
from paas_isolate.changes.diff import diff
from paas_isolate.changes.network import desired_network, drop_ports_in_use
from paas_isolate.errors import HostError
from paas_isolate.model.network import Network, PreparedRuleset, Rules
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.network import SetRules
from paas_isolate.model.world import World
from paas_isolate.reconcile import Comparison, Reconciler


def prepared(reconciler: Reconciler, last: Comparison) -> PreparedRuleset | None:
    """For the day on which the ruleset is gone. None where it is not as it should be now. HostError."""
    rules = last.desired.network.rules
    if reconciler.kernel.network is None or rules is None or rules != last.observed.network.rules:
        return None
    return reconciler.kernel.network.prepare(rules)


def without_ruleset(reconciler: Reconciler) -> bool:
    """Whether the ruleset is gone: until it is laid everybody reaches everybody."""
    return reconciler.kernel.network is not None and not reconciler.kernel.network.has_ruleset()


def reinstall_ruleset(reconciler: Reconciler, ready: PreparedRuleset | None) -> tuple[Outcome, ...]:
    """Lay the ruleset before anything else is looked at: what is `ready`, where that is what the fleet has bought. Of
    the same fleets as `wires_differ`."""
    wires = reconciler.kernel.network
    assert wires is not None  # of which the ruleset is gone
    taken = wires.ports_in_use()

    @cache
    def wanted() -> Rules | None:
        return drop_ports_in_use(desired_network(reconciler.intent.fleet), Network(ports_in_use=taken))[0].rules

    if ready and ready.ports_in_use == taken:
        with suppress(HostError):  # what is wrong with it, the other way tells
            wires.install_prepared(ready, wanted)
            return (Outcome(SetRules(wanted(), None), Status.DONE),)
    return apply_network(reconciler, (SetRules(wanted(), None),))


def network_changes(reconciler: Reconciler) -> Changes:
    """The steps in the network, of a fleet in which nobody is kept as he was and nobody leaves."""
    if reconciler.kernel.network is None:
        return ()
    observed = reconciler.kernel.network.observe()
    wanted, _ = drop_ports_in_use(desired_network(reconciler.intent.fleet), observed)
    return diff(World(network=wanted), World(network=observed))


def apply_network(reconciler: Reconciler, steps: Changes) -> tuple[Outcome, ...]:
    return tuple(apply(reconciler.kernel, steps))
