"""Looks at the network alone: a ruleset, an address or a gate that was taken away is put back at once."""

from contextlib import suppress

from paas_isolate.apply import apply
from paas_isolate.changes.diff import diff
from paas_isolate.changes.network import desired_network, network_now
from paas_isolate.compare import Comparison, Reconciler
from paas_isolate.errors import HostError
from paas_isolate.model.network import Network, PreparedRuleset
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.network import SetRules
from paas_isolate.model.world import DesiredWorld, ObservedWorld


def prepared(reconciler: Reconciler, last: Comparison) -> PreparedRuleset | None:
    """The ruleset in a form that is installed quickly when it is gone. None where it is not as it should be now.
    HostError where nft cannot render it."""
    rules = last.desired.network.rules
    if reconciler.kernel.network is None or rules is None or rules != last.observed.network.rules:
        return None
    return reconciler.kernel.network.prepare(rules)


def without_ruleset(reconciler: Reconciler) -> bool:
    """Whether the ruleset is gone: until it is installed again, every account reaches every other."""
    return reconciler.kernel.network is not None and not reconciler.kernel.network.has_ruleset()


def reinstall_ruleset(reconciler: Reconciler, ready: PreparedRuleset | None) -> tuple[Outcome, ...]:
    """Install the ruleset before anything else is looked at: the one that is `ready`, where that is still valid. The
    fleet is as for `network_changes`."""
    network = reconciler.kernel.network
    assert network is not None  # its ruleset is gone
    if ready and ready.polled == network.polled():
        with suppress(HostError):  # what is wrong with it, the ordinary way reports
            network.install_prepared(ready)
            return (Outcome(SetRules(ready.rules, None), Status.DONE),)
    return tuple(apply(reconciler.kernel, (SetRules(_wanted(reconciler, network.rule_inputs()).rules, None),)))


def network_changes(reconciler: Reconciler) -> Changes:
    """The steps in the network, for a fleet in which no account is on its last good copy and none is leaving."""
    if reconciler.kernel.network is None:
        return ()
    observed = reconciler.kernel.network.observe()
    return diff(DesiredWorld(network=_wanted(reconciler, observed)), ObservedWorld(network=observed))


def _wanted(reconciler: Reconciler, observed: Network) -> Network:
    fleet = reconciler.intent.fleet
    return network_now(desired_network(fleet), observed, fleet)[0]
