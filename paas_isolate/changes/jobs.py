"""Jobs: which there are, and when each is due. What is missed is left out, as cron does."""

from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.run import FOREVER, Run


def jobs_of(fleet: Fleet) -> frozenset[str]:
    """The leaves of all that runs by a schedule."""
    services = ((account.directory, service) for account in fleet.accounts.values() for service in account.services)
    return frozenset(tree.leaf(directory, it.name) for directory, it in services if it.work.run and it.work.schedule)


def next_run(schedule: str, run: Run) -> float:
    """In seconds since the epoch. A time that passed while it ran is not made up for."""
    from paas_isolate.changes.schedule import next_time  # a machine without jobs does not pay for datetime

    return next_time(schedule, max(run.since, run.end.at, *run.starts))


def job_wants(schedule: str, run: Run | None, now: float) -> tuple[bool, float]:
    """Whether it is to run now, and when that may be otherwise."""
    if run is None or run.alive or run.restart_requested or run.future_dated:
        return True, FOREVER
    at = next_run(schedule, run)
    return (True, FOREVER) if at <= now else (False, at)


def idle_until(schedule: str, run: Run | None, *, lives: bool) -> float:
    """Of a job that may not run: when it misses a time. `lives`: something is left in its leaf, and goes first."""
    return FOREVER if run is None or lives or run.is_news else next_run(schedule, run)
