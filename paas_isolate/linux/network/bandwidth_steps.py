"""Carrying out the steps of bandwidth: hundreds of classes in a few system calls."""

from collections.abc import Iterator, Sequence
from functools import partial

from paas_isolate.linux.batch import carry_out_many, carry_out_one
from paas_isolate.model.bandwidth import BandwidthPort
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.steps.bandwidth import (
    AddRoot,
    BandwidthStep,
    RemoveClass,
    RemoveRoot,
    SetBandwidthRules,
    SetClass,
)


def apply_bandwidth_steps(bandwidth: BandwidthPort, steps: Sequence[BandwidthStep]) -> Iterator[Outcome]:
    """Carry out the steps and yield their outcomes: qdiscs, their classes, the rules that send packets to them; then
    what is to go."""
    roots = [step for step in steps if isinstance(step, AddRoot)]
    yield from carry_out_many(roots, lambda part: bandwidth.add_roots([step.interface for step in part]))
    classes = [step for step in steps if isinstance(step, SetClass)]
    yield from carry_out_many(classes, lambda part: bandwidth.set_classes({step.key: step.rate for step in part}))
    for step in steps:
        if isinstance(step, SetBandwidthRules):
            yield from carry_out_one(step, partial(bandwidth.set_rules, step.rules, step.was))
    unused = [step for step in steps if isinstance(step, RemoveClass)]
    yield from carry_out_many(unused, lambda part: bandwidth.remove_classes([step.key for step in part]))
    gone = [step for step in steps if isinstance(step, RemoveRoot)]
    yield from carry_out_many(gone, lambda part: bandwidth.remove_roots([step.interface for step in part]))
    if gone or any(isinstance(step, SetBandwidthRules) and step.rules is None for step in steps):
        bandwidth.end()
