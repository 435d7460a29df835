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


def service_steps(wish: DesiredServices, observed: ObservedWorld, now: float) -> Iterator[Step]:
    """`now` is in seconds since the epoch."""
    for leaf in sorted(observed.runs.keys() | wish.run.keys()):
        if leaf in wish.jobs and (last := observed.runs.get(leaf)) and last.is_news and last.result:
            yield SaveResult(leaf, last.result)
        if (failed := wish.failure_unreported.get(leaf)) is not None:
            yield NotifyFailure(leaf, failed, str(observed.runs[leaf].end))
        if leaf in wish.missed:
            yield ScheduleJob(leaf, observed.runs[leaf].digest)
        if leaf in wish.run and wish.run[leaf] is None:
            continue
        wanted, run = wish.run.get(leaf), observed.runs.get(leaf)
        if run and run.stop_requested_at and leaf in observed.members:
            if now >= run.kill_due:
                yield Kill(leaf, "it was asked to end, and has not", run.kills)
        elif wanted is None and run:
            yield from _without(leaf, run, wish, leaf in observed.members)
        elif wanted:
            yield from _with(leaf, run, wanted, wish, leaf in observed.members)
    for leaf, why in wish.given_up.items():
        yield GiveUp(leaf, why)


def _without(leaf: str, run: Run, wish: DesiredServices, lives: bool) -> Iterator[Step]:
    """The step for a leaf in which nothing should run. Processes that an inactive program has left behind are stopped
    too."""
    if run.alive or (lives and leaf in wish.inactive):
        yield Stop(leaf, wish.inactive.get(leaf, "it is not wanted any more"), wish.patience.get(leaf, _TIMEOUT))
    elif leaf not in wish.patience:
        yield ForgetRun(leaf)


def _with(leaf: str, run: Run | None, wanted: Launch, wish: DesiredServices, lives: bool) -> Iterator[Step]:
    if run and run.alive and leaf not in wish.finished:
        return
    if leaf in wish.jobs and (run is None or (run.future_dated and not run.restart_requested)):
        yield ScheduleJob(leaf, wanted.digest)
    elif lives:
        tidy = run is not None and not run.alive
        yield Stop(leaf, _because(run), wish.patience.get(leaf, _TIMEOUT), tidy)
    else:
        yield Start(leaf, wanted)


def _because(run: Run | None) -> str:
    if run is None or not run.alive:
        return BACKGROUND if run and run.background else "what is left in its leaf ends before it begins"
    if run.unhealthy:
        return "its health checks fail"
    return "a new start was ordered" if run.restart_requested else "what it is begun with has changed"


BACKGROUND = "its program went to the background; keep it in the foreground"
_TIMEOUT = 10_000
