"""Repairs what was changed by hand: a knob, the ruleset, an address. The report names who changed it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from paas_isolate.apply import apply
from paas_isolate.changes.placement import Placement
from paas_isolate.compare import Comparison, desired_world
from paas_isolate.daemon.account_pass import restricted_to
from paas_isolate.daemon.network import network_changes, prepared, reinstall_ruleset, without_ruleset
from paas_isolate.daemon.repair import differing
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.daemon.sources import writer_of
from paas_isolate.daemon.strays import RepairLimits
from paas_isolate.errors import BusyError, HostError, PaasError
from paas_isolate.installation import Installation
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.kernel import Kernel
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.network import Polled, PreparedRuleset
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.cgroup import LowerMemory, SetKnob
from paas_isolate.model.world import DesiredWorld
from paas_isolate.rounds import run_rounds


class KnobWriters:
    """Which process has written to which cgroup since the last full pass. Its name is read while it lives."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._by: dict[str, str] = {}

    def note(self, heard: Event) -> None:
        if by := writer_of(heard):
            self._by[heard.place] = by

    def report(self, outcome: Outcome) -> None:
        step = outcome.step
        self._reporter.done(outcome, self._by.get(step.path, "") if isinstance(step, SetKnob | LowerMemory) else "")

    def forget(self) -> None:
        self._by.clear()


class Repairer:
    """Repairs one thing at a time. Its methods return False where a full pass should be made instead."""

    def __init__(self, installation: Installation, limits: RepairLimits, reporter: Reporter) -> None:
        self._installation, self._limits, self._reporter = installation, limits, reporter
        self.polled: Callable[[], Polled] | None = None
        """Looks at what the rules follow from and no event tells; None without a network."""
        self._ready: PreparedRuleset | None = None
        """The ruleset of the last full pass; an edit that changes nothing in the network leaves it valid."""

    def make_ready(self, fleet: Fleet, last: Comparison) -> None:
        """Prepare the ruleset after a full pass. Where that fails, none is ready."""
        self._ready = self.polled = None
        if last.desired.network.rules is not None:
            with self._installation.open(fleet) as reconciler, suppress(HostError):
                self.polled = reconciler.kernel.network.polled if reconciler.kernel.network else None
                self._ready = prepared(reconciler, last)

    def repair_knob(self, fleet: Fleet, places: Placement, heard: Event) -> bool:
        by, directory = writer_of(heard), tree.directory_of(heard.place)
        account = places.account_in(directory)
        if directory and account is None:
            return True  # the account is leaving, or stays as it is: nothing is desired of it
        try:
            with (
                self._installation.locked(),
                self._installation.open(
                    restricted_to(fleet, *filter(None, [account])), with_network=False
                ) as reconciler,
            ):
                return self._repair_cgroup(reconciler.kernel, desired_world(reconciler), heard.place, by)
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            self._reporter.failure(heard.place, error)
            return False

    def repair_network(self, fleet: Fleet, heard: Sequence[Event]) -> bool:
        by = "; ".join(sorted(set(filter(None, map(writer_of, heard)))))
        try:
            with self._installation.locked(), self._installation.open(fleet) as reconciler:
                gone = without_ruleset(reconciler)
                if gone and not self._limits.may_repair(heard[0].place, by):
                    return True
                if gone:
                    for outcome in reinstall_ruleset(reconciler, self._ready):
                        self._reporter.outcome(outcome, by)

                def look(_: Changes) -> Changes:
                    steps = network_changes(reconciler)
                    return steps if steps and (gone or self._limits.may_repair(heard[0].place, by)) else ()

                self._run_rounds(reconciler.kernel, look, by)
                if reconciler.kernel.network:
                    reconciler.kernel.network.remember()
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            self._reporter.failure("the network", error)
            return False
        return True

    def _repair_cgroup(self, kernel: Kernel, desired: DesiredWorld, place: str, by: str) -> bool:
        """Whether the cgroup could be looked at."""
        there = True

        def look(_: Changes) -> Changes:
            nonlocal there
            steps = differing(kernel.cgroups, desired, place)
            there = steps is not None
            return steps if steps and self._limits.may_repair(place, by) else ()

        self._run_rounds(Kernel(kernel.cgroups, applied=kernel.applied), look, by)
        return there

    def _run_rounds(self, kernel: Kernel, look: Callable[[Changes], Changes], by: str) -> None:
        rounds = run_rounds(look, partial(apply, kernel), lambda outcome: self._reporter.outcome(outcome, by))
        kernel.tell(rounds.outcomes)
