"""What an emergency verb has decided and decisions.json does not have yet: an empty file each, in RUN/decided.

A name in a directory of /run needs no lock, no free block of a disk, and no file that can be read: so a freeze or stop
is known to every run from the same moment on. Whoever writes decisions.json next takes the notes up.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.source.decisions import Decisions

HELD, STOPPED, RESTED = "held", "stopped", "rested"


class Notes(NamedTuple):
    directory: str

    def add(self, kind: str, target: str) -> None:
        """`target` is an account's directory, or `alice/web`. OSError."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(os.path.join(self.directory, f"{kind}.{target.replace('/', '.')}"), flags, 0o600))

    def names(self) -> tuple[str, ...]:
        """Mostly none, for the price of one system call."""
        try:
            return tuple(sorted(os.listdir(self.directory)))
        except OSError:
            return ()

    def remove(self, names: Collection[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, name))


def added(decided: Decisions, names: Collection[str]) -> Decisions:
    """What was decided, with these notes."""
    for kind, target in _read(names):
        if kind == HELD:
            decided = decided.freeze(target)
        elif kind in (STOPPED, RESTED):
            decided = decided.stop(target, by_customer=kind == RESTED)
    return decided


def _read(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Names of accounts and services have no dot. Those that an administrator has stopped are read last."""
    for name in sorted(names):
        kind, _, target = name.partition(".")
        if target:
            yield kind, target.replace(".", "/")
