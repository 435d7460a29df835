"""Progress lines, for callers that show them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


def silence(_line: str) -> None:
    """For callers that show nothing."""


@dataclass(frozen=True)
class Progress:
    say: Callable[[str], None] = silence

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Two lines a stage: one when it begins, and one with its seconds when it has ended."""
        self.say(f"{name} ...")
        begin = time.monotonic()
        yield
        self.say(f"{name}: {time.monotonic() - begin:.1f} s")
