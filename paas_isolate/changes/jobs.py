"""Jobs (services with a schedule): which there are, and when each is due. A missed time is skipped, as by cron."""

from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.run import FOREVER, Run


def jobs_of(fleet: Fleet) -> frozenset[str]:
    """The leaves of all jobs."""
    return frozenset(
        tree.leaf(account.directory, service.name)
        for account in fleet.accounts.values()
        for service in account.services
        if service.work.run and service.work.schedule
    )


def next_run(schedule: str, run: Run) -> float:
    """When the job runs next, in seconds since the epoch. A time that passed while it ran is skipped."""
    from paas_isolate.changes.schedule import next_time  # datetime is slow to import: only machines with jobs need it

    return next_time(schedule, max(run.since, run.end.at, *run.starts))


def job_wants(schedule: str, run: Run | None, now: float) -> tuple[bool, float]:
    """Whether the job should run at `now`, and the time at which that may change."""
    if run is None or run.alive or run.restart_requested or run.future_dated:
        return True, FOREVER
    at = next_run(schedule, run)
    return (True, FOREVER) if at <= now else (False, at)


def idle_until(schedule: str, run: Run | None, *, lives: bool) -> float:
    """When a job that must not run misses a time. FOREVER while processes live in its leaf (`lives`), or its last
    result is not saved yet."""
    return FOREVER if run is None or lives or run.is_news else next_run(schedule, run)
