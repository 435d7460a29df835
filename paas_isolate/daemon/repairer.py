"""The daemon's hands for what somebody has changed: a knob, the ruleset, an address. Told with who it was."""

from collections.abc import Sequence
from contextlib import suppress

from paas_isolate.changes.placement import Placement
from paas_isolate.daemon.account_pass import restricted_to
from paas_isolate.daemon.network import apply_network, network_changes, prepared, reinstall_ruleset, without_ruleset
from paas_isolate.daemon.repair import apply_repairs, differing
from paas_isolate.daemon.reporter import Reporter
from paas_isolate.daemon.sources import writer_of
from paas_isolate.daemon.strays import RepairLimits
from paas_isolate.errors import BusyError, HostError, PaasError
from paas_isolate.installation import Installation
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.events.event import Event
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.network import PreparedRuleset
from paas_isolate.model.outcome import Outcome
from paas_isolate.model.steps import Changes
from paas_isolate.model.steps.cgroup import LowerMemory, SetKnob
from paas_isolate.reconcile import Comparison, desired_intent


class KnobWriters:
    """Who has written to which cgroup since everything was looked at last, asked while they live."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._by: dict[str, str] = {}

    def note(self, heard: Event) -> None:
        if by := writer_of(heard):
            self._by[heard.place] = by

    def tell(self, outcome: Outcome) -> None:
        step = outcome.step
        self._reporter.done(outcome, self._by.get(step.path, "") if isinstance(step, SetKnob | LowerMemory) else "")

    def forget(self) -> None:
        self._by.clear()


class Repairer:
    """False is answered where all should be looked at instead."""

    def __init__(self, installation: Installation, fights: RepairLimits, reporter: Reporter) -> None:
        self._desk, self._fights, self._reporter = installation, fights, reporter
        self._ready: PreparedRuleset | None = None
        """What lays the ruleset of the last whole turn's fleet; an edit that is none of the network's leaves it so."""

    def make_ready(self, fleet: Fleet, last: Comparison) -> None:
        """After a whole turn. Where that cannot be had, nothing is ready."""
        self._ready = None
        if last.desired.network.rules is not None:
            with self._desk.open(fleet) as reconciler, suppress(HostError):
                self._ready = prepared(reconciler, last)

    def repair_knob(self, fleet: Fleet, places: Placement, heard: Event) -> bool:
        by, directory = writer_of(heard), tree.directory_of(heard.place)
        account = places.account_in(directory)
        if directory and account is None:
            return True  # it leaves, or is kept as it is: nothing is wanted of it
        try:
            with (
                self._desk.locked(),
                self._desk.open(restricted_to(fleet, *filter(None, [account])), with_network=False) as reconciler,
            ):
                steps = differing(reconciler.kernel.cgroups, desired_intent(reconciler), heard.place)
                return steps is not None and self._put_back(reconciler.kernel.cgroups, steps, heard.place, by)
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            self._reporter.failure(heard.place, error)
            return False

    def repair_network(self, fleet: Fleet, heard: Sequence[Event]) -> bool:
        by = "; ".join(sorted({it for it in map(writer_of, heard) if it}))
        try:
            with self._desk.locked(), self._desk.open(fleet) as reconciler:
                gone = without_ruleset(reconciler)
                if gone and not self._fights.may_mend(heard[0].place, by):
                    return True
                if gone:
                    self._report(reinstall_ruleset(reconciler, self._ready), by)
                steps = network_changes(reconciler)
                if steps and (gone or self._fights.may_mend(heard[0].place, by)):
                    self._report(apply_network(reconciler, steps), by)
        except BusyError:
            return False
        except (PaasError, OSError) as error:
            self._reporter.failure("the network", error)
            return False
        return True

    def _put_back(self, cgroups: CgroupTree, steps: Changes, place: str, by: str) -> bool:
        if steps and self._fights.may_mend(place, by):
            self._report(apply_repairs(cgroups, steps), by)
        return True

    def _report(self, outcomes: Sequence[Outcome], by: str) -> None:
        for outcome in outcomes:
            self._reporter.outcome(outcome, by)
