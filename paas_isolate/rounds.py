"""The loop of every pass: look, carry out what differs, look again."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from paas_isolate.errors import Trouble
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps import Changes, Step
from paas_isolate.model.steps.service import Start

ROUNDS = 10
"""Rounds of a pass at the most: a process that forks while it is moved leaves a child for the next round."""


class Rounds(NamedTuple):
    """What was done in all rounds, and the differences that the last look has found. `failed` are unexpected
    exceptions by owner of the step that raised them ('' for steps that are no account's)."""

    outcomes: tuple[Outcome, ...]
    last: Changes
    failed: dict[str, Trouble]

    def remaining(self) -> Iterator[Outcome]:
        """The outcome of each difference of the last look: why it is still there."""
        outcomes = {outcome.step: outcome for outcome in self.outcomes} if self.last else {}
        for step in self.last:
            yield _left(step, outcomes.get(step))


def run_rounds(
    look: Callable[[Changes], Changes],
    carry_out: Callable[[Changes], Iterable[Outcome]],
    report: Callable[[Outcome], None],
    *,
    wait: Callable[[], bool] = lambda: False,
    limit: int = ROUNDS,
) -> Rounds:
    """Look and carry out until a look finds nothing new, `limit` times at the most.

    `look` returns the steps to what should be; it is given the steps that were carried out since it looked last.
    `carry_out` yields the outcome of each step. `report` is called with each outcome as it comes. A step is tried once,
    and none of an account whose step has raised an unexpected exception. `wait` is called where nothing is new: it
    returns whether another look may find a difference; such a round does not count.
    """
    outcomes: list[Outcome] = []
    failed: dict[str, Trouble] = {}
    done: Changes = ()
    changes: Changes = ()
    while limit:
        changes = look(done)
        tried = {outcome.step for outcome in outcomes} if changes else ()
        done = tuple(step for step in changes if step not in tried and (not step.owner or step.owner not in failed))
        if not done and not wait():
            break
        for outcome in carry_out(done):
            outcomes.append(outcome)
            report(outcome)
            if outcome.trouble:
                failed[outcome.step.owner] = outcome.trouble
        limit -= 1 if done else 0
    return Rounds(tuple(outcomes), changes, failed)


def _left(step: Step, outcome: Outcome | None) -> Outcome:
    """Why a step is still to be done after the last look."""
    if outcome is None:
        return Outcome(step, Status.PENDING, "it came up during the last look")
    if isinstance(step, Start) and outcome.status is Status.DONE:
        return Outcome(step, Status.PENDING, "its program has ended again")
    if outcome.status in (Status.DONE, Status.GONE):
        return Outcome(step, Status.FAILED, "it was carried out, and differs again")
    return outcome
