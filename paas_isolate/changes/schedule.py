"""The times of a job, in the notation of crontab(5). The library cronsim reads it."""

import time
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache


@lru_cache(maxsize=4096)
def next_time(schedule: str, after: float) -> float:
    """The first time later than `after`, both in seconds since the epoch; infinity where there is none (30 February).
    As in cron, the schedule is in local time."""
    from cronsim import CronSim

    times = (date.timestamp() for date in CronSim(schedule, datetime.fromtimestamp(after, _MACHINE)))
    # When the clock is set back for winter, the next time by the clock may be earlier than `after`.
    return next((at for at in times if at > after), float("inf"))


class _MachineTime(tzinfo):
    """Local time with its changes for summer and winter; datetime.astimezone() gives a fixed offset."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return dt.replace(tzinfo=None).astimezone().utcoffset() if dt else None

    def dst(self, dt: datetime | None) -> None:  # noqa: ARG002  (the signature of tzinfo)
        return None

    def tzname(self, dt: datetime | None) -> None:  # noqa: ARG002
        return None

    def fromutc(self, dt: datetime) -> datetime:
        return datetime.fromtimestamp(dt.replace(tzinfo=UTC).timestamp()).replace(tzinfo=self)


_MACHINE = _MachineTime()


def forget_zone() -> None:
    """Read the machine's time zone again (tzset(3)), after it was changed: a process reads it only once by itself."""
    time.tzset()
    next_time.cache_clear()
