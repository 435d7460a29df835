"""The acts: what is shown, in order. Each is a function from a ground to facts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from demonstration.facts import Fact
from demonstration.ground import Ground


@dataclass(frozen=True)
class Act:
    title: str
    play: Callable[[Ground], Iterator[Fact | str]]
    """Facts, and lines that only show something."""

    alone_on_the_machine: bool = False
    """It changes what all of the machine depends on."""
    all_stand_on_it: bool = False
    """When it cannot be played, nothing after it can."""
