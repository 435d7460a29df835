"""Carrying out many steps of one kind in a few system calls, with an outcome for each."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from paas_isolate.errors import HostError, without_broken
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps import Step

Many = TypeVar("Many", bound=Step)


def carry_out_one(step: Step, action: Callable[[], None]) -> Iterator[Outcome]:
    """Carry out one step by `action`, which raises OSError or HostError where that fails."""

    def only_one(_: Sequence[Step]) -> list[str]:
        action()
        return [""]

    return carry_out_many([step], only_one)


def carry_out_many(steps: Sequence[Many], action: Callable[[Sequence[Many]], list[str]]) -> Iterator[Outcome]:
    """Carry out all `steps` by one call of `action`, which returns an error text for each step, '' where it is done.

    Where `action` raises an unexpected exception, it is called again for parts of the steps until the step that
    raises it stands alone: what was done already is done again.
    """

    def texts_by_number(numbers: Sequence[int]) -> dict[int, str]:
        part = [steps[number] for number in numbers]
        if not part:
            return {}
        try:
            texts = action(part)
        except (OSError, HostError) as error:
            texts = [str(error).partition("\n")[0]] * len(part)
        return dict(zip(numbers, texts, strict=True))

    texts, broken = without_broken(texts_by_number, range(len(steps)))
    for number, step in enumerate(steps):
        if trouble := broken.get(number):
            yield Outcome(step, Status.FAILED, trouble.what, trouble)
        elif text := texts[number]:
            yield Outcome(step, Status.FAILED, text)
        else:
            yield Outcome(step, Status.DONE)
