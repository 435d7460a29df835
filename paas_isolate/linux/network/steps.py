"""Carrying out the steps of the network: thousands of addresses in a few system calls."""

from collections.abc import Iterator, Sequence
from functools import partial

from paas_isolate.linux.batch import carry_out_many, carry_out_one
from paas_isolate.model.network import NetworkPort
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps.network import AddPool, NetworkStep, RemoveAddress, SetGate, SetNames, SetRules


def apply_network_steps(network: NetworkPort, steps: Sequence[NetworkStep]) -> Iterator[Outcome]:
    """Carry out the steps and yield their outcomes. A pool goes before the rules that protect it are changed, and comes
    after them: at no moment can a neighbour reach an address of it. Single addresses go when their pool is there, so
    that there is always one of the two. Rules and gate are changed in the order of the steps."""
    added = [step for step in steps if isinstance(step, AddPool)]
    removed = [step for step in steps if isinstance(step, RemoveAddress)]
    replaced = [step for step in removed if added and "/" not in step.address]
    gone = [step for step in removed if not added or "/" in step.address]
    yield from carry_out_many(gone, lambda part: network.remove(step.address for step in part))
    for step in steps:
        if isinstance(step, SetRules):
            yield from carry_out_one(step, partial(network.set_rules, step.rules, step.was))
        elif isinstance(step, SetGate):
            yield from carry_out_one(step, partial(network.set_gate, step.gate, step.was))
    failed = False
    for outcome in carry_out_many(added, lambda part: network.add(step.pool for step in part)):
        failed |= outcome.status is Status.FAILED
        yield outcome
    if failed:
        yield from (Outcome(step, Status.SKIPPED, "its pool is not local") for step in replaced)
    else:
        yield from carry_out_many(replaced, lambda part: network.remove(step.address for step in part))
    for step in steps:
        if isinstance(step, SetNames):
            yield from carry_out_one(step, partial(network.set_names, step.names))
