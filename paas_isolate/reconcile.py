"""One pass of the reconciler: look, compare, carry out, look again. Read this first."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.apply import apply
from paas_isolate.changes.touched import touched
from paas_isolate.compare import NO_ACCOUNT, Comparison, Reconciler, desired_by, look
from paas_isolate.errors import Trouble
from paas_isolate.model import tree
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.run import FOREVER
from paas_isolate.model.steps import Changes
from paas_isolate.rounds import run_rounds

PAUSE = 0.02
"""Seconds between two looks whether a process has ended."""


class Report(NamedTuple):
    """What was done, and what still differs after the last look. `broken` are accounts that stay as they are, because
    working on them has raised an unexpected exception."""

    outcomes: tuple[Outcome, ...]
    last: Comparison
    remaining: tuple[Outcome, ...]
    broken: Mapping[str, Trouble] = MappingProxyType({})

    def ended(self, status: Status) -> bool:
        """Whether anything is left that ended so."""
        return any(outcome.status is status for outcome in self.remaining)

    @property
    def unmet(self) -> tuple[str, ...]:
        """Limits that this machine cannot keep at all."""
        return tuple(self.last.desired.unmet.values())

    @property
    def late(self) -> tuple[str, ...]:
        """What could not be looked at in time: it stays as it was."""
        return tuple(self.last.desired.late.values())


class _Looks:
    """The looks of one pass. Accounts that nothing was done to since the last look are not looked at again."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._scope, self._cgroups = reconciler.scope, reconciler.kernel.cgroups
        self._desired = desired_by(reconciler)
        self._until = time.monotonic() + reconciler.scope.grace
        self.last: Comparison | None = None

    def look(self, done: Changes) -> Changes:
        since = (self.last.observed, touched(done)) if self.last and done else None
        self._desired, self.last = look(self._desired, since)
        return self.last.changes

    def wait(self) -> bool:
        """Wait for services that are asked to end, or may start again in a moment; whether another look may find a
        difference."""
        assert self.last is not None  # a look comes first
        observed, desired = self.last.observed, self.last.desired
        ending = [
            leaf
            for leaf, run in observed.runs.items()
            if run.stop_requested_at and leaf in observed.members and self._scope.contains(tree.directory_of(leaf))
        ]
        if not ending and not any(self._scope.contains(tree.directory_of(leaf)) for leaf in desired.services.waiting):
            return False
        until_kill = min((observed.runs[leaf].kill_due for leaf in ending), default=FOREVER) - time.time()
        soon = min(self._until, time.monotonic() + min(until_kill, 1.0))
        while time.monotonic() < soon and all(self._cgroups.populated(leaf) for leaf in ending):
            time.sleep(PAUSE)
        return time.monotonic() < self._until


def reconcile(reconciler: Reconciler, report: Callable[[Outcome], None]) -> Report:
    """Carry out what differs, look again until nothing new differs, and say what could not be brought about. `report`
    is called with each outcome as it comes. An account whose step raises an unexpected exception stays as it is; the
    others are worked on."""
    looks = _Looks(reconciler)
    rounds = run_rounds(looks.look, partial(apply, reconciler.kernel), report, wait=looks.wait)
    assert looks.last is not None  # a pass has a round at least
    reconciler.kernel.tell(rounds.outcomes)
    if reconciler.kernel.network:
        reconciler.kernel.network.remember()
    names = reconciler.intent.fleet.names_by_directory()
    broken = {names.get(owner, owner) or NO_ACCOUNT: trouble for owner, trouble in rounds.failed.items()}
    return Report(rounds.outcomes, looks.last, tuple(rounds.remaining()), {**broken, **looks.last.broken})
