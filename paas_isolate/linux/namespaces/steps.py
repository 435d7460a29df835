"""Carrying out the steps of views: one process makes a thousand of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from paas_isolate.linux.batch import carry_out_many, carry_out_one
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.namespace import MakeView, NamespaceStep, RemoveView, SetAging
from paas_isolate.model.view import NamespacePort


def apply_namespace_steps(
    namespaces: NamespacePort, broken: Mapping[str, Step], steps: Sequence[NamespaceStep]
) -> Iterator[Outcome]:
    """Carry out the steps and yield their outcomes. `broken` has, by account directory, the step that could not make
    the account's cgroups ready: a view shows the account's cgroup, so those accounts get none."""
    made = []
    for step in steps:
        if isinstance(step, MakeView):
            if before := broken.get(step.directory):
                yield Outcome(step, Status.SKIPPED, f"could not {before}")
            else:
                made.append(step)
    yield from carry_out_many(made, lambda part: namespaces.make((step.directory, step.view) for step in part))
    for step in steps:
        if isinstance(step, SetAging):
            yield from carry_out_one(step, partial(namespaces.set_aging, step.text))
    removed = [step for step in steps if isinstance(step, RemoveView)]
    yield from carry_out_many(removed, lambda part: namespaces.remove((step.directory, step.tmp) for step in part))
