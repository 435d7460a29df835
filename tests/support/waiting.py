"""Waiting for an effect, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def wait_for(condition: Callable[[], Answer | None], *, what: str | Callable[[], str], deadline: float = 20) -> Answer:
    """Asks again and again, and returns the first answer that is true.

    AssertionError after `deadline` seconds: it names `what` was waited for, and the last answer. `what` is a function
    where its text is known only then.
    """
    end = time.monotonic() + deadline
    while not (answer := condition()):
        if time.monotonic() > end:
            text = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {deadline:g} s for this: {text}; last answer: {answer!r}")
        time.sleep(0.01)
    return answer
