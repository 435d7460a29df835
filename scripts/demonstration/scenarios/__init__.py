"""The scenarios: what is shown, in this order. Each is a function from a target to facts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from demonstration.facts import Fact
from demonstration.target import Target


@dataclass(frozen=True)
class Scenario:
    title: str
    play: Callable[[Target], Iterator[Fact | str]]
    """Yields facts, and lines that are only shown."""

    alone_on_the_machine: bool = False
    """It changes what the whole machine depends on: for a throwaway guest only."""
    all_stand_on_it: bool = False
    """Without it, no later scenario can be played."""
