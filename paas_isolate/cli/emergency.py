"""freeze, stop and kill when something else is broken: a full disk, a wrong file, another run that does not end.

They act in the kernel first and store the decision afterwards. What could not be done is printed; the exit status is
then 4.
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
"""Seconds to wait for another run's lock. What is urgent has been done before."""


class Emergency:
    """One emergency command. `partly` is True when something could not be done. `fleet` has the specifications; when
    they cannot be read, it is empty and `known` is False. `noted` is False when the decision is in no file of /run."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.partly = self.known = False
        self.noted = True
        self.fleet = Fleet(Host(), {})
        with self.attempt("the specifications cannot be used"):
            self.fleet, self.known = installation.fleet(), True

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Print a PaasError or OSError of the body after `what`, set `partly`, and go on."""
        try:
            yield
        except (PaasError, OSError) as error:
            self.fail(what, error)

    def fail(self, what: str, error: PaasError | OSError) -> None:
        self.partly = True
        output.lines(f"{what}: {in_words(error)}", fg="yellow", err=True)

    def note(self, kind: str, target: str) -> None:
        """Write the decision to a file in /run, without the lock. Every run from now on reads it."""
        try:
            self._installation.notes.add(kind, target)
        except OSError as error:
            self.noted = False
            self.fail(f"not noted in {self._installation.notes.directory}", error)

    def freeze(self, cgroups: CgroupTree, path: str) -> bool:
        """Close the doors into the cgroup `path` and freeze it, without the lock. True when it is frozen."""
        doors = DoorDirectory(self._installation.doors, cgroups.root)
        try:
            steps = [SetDoor(name, tree.closed(tree.directory_of(path)), to) for name, to in _open(doors, path)]
        except OSError as error:
            steps = []
            self.fail("the doors cannot be closed", error)
        was = cgroups.read(path, FREEZE)
        knobs = [SetKnob(path, FREEZE, "1", was)] if was != "1" else []
        applied = self._installation.applied if self.fleet.host.metering is not None else None
        kernel = Kernel(cgroups, doors, applied=applied)
        outcomes = tuple(apply(kernel, (*steps, *knobs)))
        ended = [self._tell(outcome) for outcome in outcomes]
        kernel.tell(outcomes)
        return all(ended)

    def _tell(self, outcome: Outcome) -> bool:
        """Print the outcome. True when the step is done, or concerns only a door."""
        done = outcome.status is Status.DONE
        output.line(output.outcome_line(outcome), err=not done)
        self.partly = self.partly or not done
        return done or isinstance(outcome.step, SetDoor)

    def finish(self, change: Callable[[Decisions], Decisions], reconcile: Callable[[], None]) -> None:
        """Under the lock, store the decision and call `reconcile`. It is not called when the decision is stored
        nowhere, because a pass would then undo what was done."""
        try:
            with self._lock(WAIT):
                remembered = self._remember(change)
                if self.known and (remembered or self.noted):
                    with self.attempt("the reconcile that follows is not complete"):
                        reconcile()
        except BusyError as error:
            self._not_remembered(error)

    def _remember(self, change: Callable[[Decisions], Decisions]) -> bool:
        try:
            self._installation.decide(change)
        except (PaasError, OSError) as error:
            self._not_remembered(error)
            return False
        return True

    def _not_remembered(self, error: PaasError | OSError) -> None:
        notes = self._installation.notes.directory
        until = f"{notes} has it until a reboot" if self.noted else "the next run undoes it"
        self.fail(f"not remembered in {os.path.join(self._installation.state, decisions.FILE)}; {until}", error)

    @contextmanager
    def _lock(self, wait: float) -> Iterator[None]:
        """Hold the lock. Raises BusyError when another run holds it; goes on without when it cannot be made."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._installation.locked(wait=wait))
            except OSError as error:
                self.fail("done without the lock", error)
            yield

    @contextmanager
    def lock_if_free(self, *, wait: float) -> Iterator[None]:
        """Hold the lock if it is free within `wait` seconds; else say so and go on without it."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._lock(wait))
            except BusyError as error:
                output.line(f"{error}; this command goes on beside it", fg="yellow", err=True)
            yield


def _open(doors: DoorDirectory, path: str) -> Iterator[tuple[str, str]]:
    """Name and target of the doors that lead into the cgroup `path` or a leaf below it."""
    for name, target in doors.observe().items():
        if name != COMPLETE and (target == path or target.startswith(f"{path}/")):
            yield name, target
