"""Carrying out the steps of the network: thousands of addresses in a few system calls."""

from collections.abc import Iterator, Sequence
from functools import partial

from paas_isolate.linux.batch import carry_out_many, carry_out_one
from paas_isolate.model.network import NetworkPort
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.steps.network import AddAddress, NetworkStep, RemoveAddress, SetGate, SetNames, SetRules


def apply_network_steps(network: NetworkPort, steps: Sequence[NetworkStep]) -> Iterator[Outcome]:
    """Carry out the steps and yield their outcomes. An address goes before the rules that protect it are changed, and
    comes after them: at no moment can a neighbour reach it."""
    removed = [step for step in steps if isinstance(step, RemoveAddress)]
    yield from carry_out_many(removed, lambda part: network.remove(step.address for step in part))
    for step in steps:
        if isinstance(step, SetRules):
            yield from carry_out_one(step, partial(network.set_rules, step.rules, step.was))
    for step in steps:
        if isinstance(step, SetGate):
            yield from carry_out_one(step, partial(network.set_gate, step.gate, step.was))
    added = [step for step in steps if isinstance(step, AddAddress)]
    yield from carry_out_many(added, lambda part: network.add(step.address for step in part))
    for step in steps:
        if isinstance(step, SetNames):
            yield from carry_out_one(step, partial(network.set_names, step.names))
