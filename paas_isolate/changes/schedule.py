"""When a job is to run: the notation of crontab(5), by a library."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache


@lru_cache(maxsize=4096)
def next_time(schedule: str, after: float) -> float:
    """The next time in seconds since the epoch, in the machine's own time as cron has it; infinity where there is none
    (30 February)."""
    from cronsim import CronSim

    times = (found.timestamp() for found in CronSim(schedule, datetime.fromtimestamp(after, _MACHINE)))
    # When clocks are set back, what is next by the clock may be past already.
    return next((at for at in times if at > after), float("inf"))


class _MachineTime(tzinfo):
    """The machine's own, with its changes of the clock; what datetime.astimezone() gives is of one day alone."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return dt.replace(tzinfo=None).astimezone().utcoffset() if dt else None

    def dst(self, dt: datetime | None) -> None:  # noqa: ARG002  (what tzinfo asks for)
        return None

    def tzname(self, dt: datetime | None) -> None:  # noqa: ARG002
        return None

    def fromutc(self, dt: datetime) -> datetime:
        return datetime.fromtimestamp(dt.replace(tzinfo=UTC).timestamp()).replace(tzinfo=self)


_MACHINE = _MachineTime()


def forget_zone() -> None:
    """The machine's own time is another from now on: tzset(3) reads its settings anew, which localtime(3) of a process
    that stays does not."""
    time.tzset()
    next_time.cache_clear()
