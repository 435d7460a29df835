"""When a job is to run: the notation of crontab(5), by a library."""

from datetime import datetime
from functools import lru_cache


@lru_cache(maxsize=4096)
def next_time(schedule: str, after: float) -> float:
    """The next time in seconds since the epoch, in the machine's own time as cron has it; infinity where there is none
    (30 February)."""
    from cronsim import CronSim

    try:
        return next(CronSim(schedule, datetime.fromtimestamp(after).astimezone())).timestamp()
    except StopIteration:
        return float("inf")
