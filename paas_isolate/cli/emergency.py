"""freeze, stop and kill where not all is well: a full disk, a wrong file, another run that does not end.

They act in the kernel first and remember afterwards. What they could not do is told, and costs exit status 4.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from paas_isolate.apply import apply
from paas_isolate.cli import output
from paas_isolate.errors import BusyError, PaasError, in_words
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Host
from paas_isolate.model.knobs import FREEZE
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.model.steps.cgroup import SetKnob
from paas_isolate.model.steps.door import SetDoor
from paas_isolate.model.world import COMPLETE
from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions

WAIT = 10.0
"""Seconds for another run, after what cannot wait is done."""


class Emergency:
    """`partly` is set when something could not be done. `fleet` is what is sold, or nothing where that cannot be read:
    `known` tells which."""

    def __init__(self, installation: Installation) -> None:
        self._desk = installation
        self.partly = self.known = False
        self.noted = True
        self.fleet = Fleet(Host(), {})
        with self.attempt("the specifications cannot be used"):
            self.fleet, self.known = installation.fleet(), True

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """What goes wrong in it is told, `what` first, and is no reason to do nothing else."""
        try:
            yield
        except (PaasError, OSError) as error:
            self.fail(what, error)

    def fail(self, what: str, error: PaasError | OSError) -> None:
        self.partly = True
        output.lines(f"{what}: {in_words(error)}", fg="yellow", err=True)

    def note(self, kind: str, target: str) -> None:
        """So that every run knows it from now on, whoever holds the lock."""
        try:
            self._desk.notes.add(kind, target)
        except OSError as error:
            self.noted = False
            self.fail("not noted", error)

    def freeze(self, cgroups: CgroupTree, path: str) -> bool:
        """Close the doors and freeze, without the lock; whether it is frozen."""
        doors = DoorDirectory(self._desk.doors, cgroups.root)
        try:
            steps = [SetDoor(name, tree.closed(tree.directory_of(path)), to) for name, to in _open(doors, path)]
        except OSError as error:
            steps = []
            self.fail("the doors cannot be closed", error)
        was = cgroups.read(path, FREEZE)
        knobs = [SetKnob(path, FREEZE, "1", was)] if was != "1" else []
        ended = [self._tell(outcome) for outcome in apply(Kernel(cgroups, doors), (*steps, *knobs))]
        return all(ended)

    def _tell(self, outcome: Outcome) -> bool:
        """Whether it is done, or is a door alone."""
        done = outcome.status is Status.DONE
        output.line(output.outcome_line(outcome), err=not done)
        self.partly = self.partly or not done
        return done or isinstance(outcome.step, SetDoor)

    def finish(self, change: Callable[[Decisions], Decisions], turn: Callable[[], None]) -> None:
        """Remember what was decided, and have a run do the rest, unless that would undo what is not remembered."""
        try:
            with self._lock(WAIT):
                remembered = self._remember(change)
                if self.known and (remembered or self.noted):
                    with self.attempt("not all is done"):
                        turn()
        except BusyError as error:
            self._not_remembered(error)

    def _remember(self, change: Callable[[Decisions], Decisions]) -> bool:
        try:
            self._desk.decide(change)
        except (PaasError, OSError) as error:
            self._not_remembered(error)
            return False
        return True

    def _not_remembered(self, error: PaasError | OSError) -> None:
        until = f"{self._desk.notes.directory} has it until a reboot" if self.noted else "the next run undoes it"
        self.fail(f"not remembered in {os.path.join(self._desk.state, decisions.FILE)}; {until}", error)

    @contextmanager
    def _lock(self, wait: float) -> Iterator[None]:
        """BusyError; where there can be no lock, it is done without."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._desk.locked(wait=wait))
            except OSError as error:
                self.fail("done without the lock", error)
            yield

    @contextmanager
    def lock_if_free(self, *, wait: float) -> Iterator[None]:
        """Better alone, else beside another run."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._lock(wait))
            except BusyError as error:
                output.line(f"{error}; this goes on beside it", fg="yellow", err=True)
            yield


def _open(doors: DoorDirectory, path: str) -> Iterator[tuple[str, str]]:
    """The doors that lead into a leaf, or into any of an account."""
    for name, target in doors.observe().items():
        if name != COMPLETE and (target == path or target.startswith(f"{path}/")):
            yield name, target
