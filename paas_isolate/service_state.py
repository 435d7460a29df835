"""The programs that paas-isolate runs: which should run at this moment, and how each of them stands."""

import time
from collections.abc import Collection, Mapping

from paas_isolate.changes.conditions import Condition, condition
from paas_isolate.changes.supervision import ManagedService, desired_services, managed_services
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.network.sockets import not_listening, ready
from paas_isolate.model import tree
from paas_isolate.model.intent import Intent
from paas_isolate.model.run import NO_WISH, DesiredServices, Run
from paas_isolate.model.world import Knobs, ObservedWorld

Managed = Mapping[str, ManagedService]
"""The services whose programs paas-isolate runs, by leaf."""


def services_to_manage(
    kernel: Kernel, intent: Intent, cgroups: Mapping[str, Knobs]
) -> tuple[Managed, Mapping[str, str]]:
    """The services whose programs should be kept running, by leaf; and those that cannot be run, with the
    reason. `cgroups` are the desired ones."""
    if kernel.records is None:
        return {}, {}
    return managed_services(intent.fleet, cgroups, intent.frozen, intent.stopped)


def services_now(
    kernel: Kernel,
    intent: Intent,
    managed: Managed,
    observed: ObservedWorld,
    now: float,
    accepted: Collection[str] = (),
) -> DesiredServices:
    """What should run at `now`, in seconds since the epoch.

    Runs of accounts that no file names stay as they are, unless their removal is `accepted`; when the machine shuts
    down, all runs stay as they are.
    """
    if kernel.records is None:
        return NO_WISH
    desired = desired_services(managed, observed.runs, observed.members, now, ready)
    if kernel.records.ending:
        everything = dict.fromkeys((*observed.runs, *managed))
        return desired._replace(run=everything, due_times={}, missed=frozenset(), failure_unreported={})
    known = {account.directory for account in intent.fleet.accounts.values()} | set(accepted)
    unknown = {leaf for leaf in observed.runs if leaf not in managed and tree.directory_of(leaf) not in known}
    if not unknown:
        return desired
    due_times = {leaf: due for leaf, due in desired.due_times.items() if leaf not in unknown}
    return desired._replace(run={**desired.run, **dict.fromkeys(unknown)}, due_times=due_times)


def conditions(kernel: Kernel, intent: Intent, runs: Mapping[str, Run]) -> dict[str, Condition]:
    """The condition of each program that is kept running, by its leaf."""
    managed, _ = services_to_manage(kernel, intent, {})
    now = time.time()
    running = [service.launch for leaf, service in managed.items() if (run := runs.get(leaf)) and run.alive]
    elsewhere = not_listening(running)
    return {
        leaf: condition(service, runs.get(leaf), astray=elsewhere.get(service.launch, ""), now=now)
        for leaf, service in managed.items()
    }
