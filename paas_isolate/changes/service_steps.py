"""The steps from the running services to the desired ones. A leaf has at most one step to start or stop at a time."""

from collections.abc import Iterator

from paas_isolate.model.run import DesiredServices, Run
from paas_isolate.model.service_program import Launch
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.service import (
    ForgetRun,
    GiveUp,
    Kill,
    NotifyFailure,
    SaveResult,
    ScheduleJob,
    Start,
    Stop,
)
from paas_isolate.model.world import ObservedWorld


def service_steps(desired: DesiredServices, observed: ObservedWorld, now: float) -> Iterator[Step]:
    """`now` is in seconds since the epoch."""
    for leaf in sorted(observed.runs.keys() | desired.run.keys()):
        if leaf in desired.jobs and (last := observed.runs.get(leaf)) and last.is_news and last.result:
            yield SaveResult(leaf, last.result)
        if (failed := desired.failure_unreported.get(leaf)) is not None:
            yield NotifyFailure(leaf, failed, str(observed.runs[leaf].end))
        if leaf in desired.missed:
            yield ScheduleJob(leaf, observed.runs[leaf].digest)
        if leaf in desired.run and desired.run[leaf] is None:
            continue
        wanted, run = desired.run.get(leaf), observed.runs.get(leaf)
        if run and run.stop_requested_at and leaf in observed.members:
            if now >= run.kill_due:
                yield Kill(leaf, "it was asked to end, and has not", run.kills)
        elif wanted is None and run:
            yield from _stop_steps(leaf, run, desired, leaf in observed.members)
        elif wanted:
            yield from _start_steps(leaf, run, wanted, desired, leaf in observed.members)
    for leaf, why in desired.given_up.items():
        yield GiveUp(leaf, why)


def _stop_steps(leaf: str, run: Run, desired: DesiredServices, lives: bool) -> Iterator[Step]:
    """The step for a leaf in which nothing should run. Processes that an inactive program has left behind are stopped
    too."""
    if run.alive or (lives and leaf in desired.inactive):
        yield Stop(leaf, desired.inactive.get(leaf, "it is not wanted any more"), desired.patience.get(leaf, _TIMEOUT))
    elif leaf not in desired.patience:
        yield ForgetRun(leaf)


def _start_steps(leaf: str, run: Run | None, wanted: Launch, desired: DesiredServices, lives: bool) -> Iterator[Step]:
    if run and run.alive and leaf not in desired.finished:
        return
    if leaf in desired.jobs and (run is None or (run.future_dated and not run.restart_requested)):
        yield ScheduleJob(leaf, wanted.digest)
    elif lives:
        tidy = run is not None and not run.alive
        yield Stop(leaf, _reason(run), desired.patience.get(leaf, _TIMEOUT), tidy)
    else:
        yield Start(leaf, wanted)


def _reason(run: Run | None) -> str:
    if run is None or not run.alive:
        return BACKGROUND if run and run.background else "what is left in its leaf ends before it begins"
    if run.unhealthy:
        return "its health checks fail"
    return "a new start was ordered" if run.restart_requested else "what it is begun with has changed"


BACKGROUND = "its program went to the background; keep it in the foreground"
_TIMEOUT = 10_000
