"""Freezes and stops that decisions.json does not have yet: one empty file each, in RUN/decided.

Making a file in /run needs no lock, no free disk block and no readable decisions.json, so that freeze and stop work on
a full disk. Every run reads the notes. The next one that writes decisions.json moves them into it.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.source.decisions import Decisions

HELD, STOPPED, RESTED = "held", "stopped", "rested"


class Notes(NamedTuple):
    """The files in `directory`, each named KIND.ACCOUNT or KIND.ACCOUNT.SERVICE."""

    directory: str

    def add(self, kind: str, target: str) -> None:
        """`kind` is HELD (frozen), STOPPED or RESTED (stopped by the customer); `target` is an account's directory
        (`alice`) or a service (`alice/web`). Raises OSError where the file cannot be made."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(os.path.join(self.directory, f"{kind}.{target.replace('/', '.')}"), flags, 0o600))

    def names(self) -> tuple[str, ...]:
        """The names of all notes; mostly none, for the price of one system call."""
        try:
            return tuple(sorted(os.listdir(self.directory)))
        except OSError:
            return ()

    def remove(self, names: Collection[str]) -> None:
        """Removes notes that decisions.json has by now. Raises OSError where one cannot be removed."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.directory, name))


def added(decided: Decisions, names: Collection[str]) -> Decisions:
    """The decisions with those of these notes."""
    for kind, target in _read(names):
        if kind == HELD:
            decided = decided.freeze(target)
        elif kind in (STOPPED, RESTED):
            decided = decided.stop(target, by_customer=kind == RESTED)
    return decided


def _read(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Kind and target of each note. Names of accounts and services have no dot. In the order of the names STOPPED
    comes after RESTED, so that an administrator's stop wins."""
    for name in sorted(names):
        kind, _, target = name.partition(".")
        if target:
            yield kind, target.replace(".", "/")
