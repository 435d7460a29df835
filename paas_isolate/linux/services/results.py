"""The last results of jobs, from one boot to the next: a file for each job, in a directory of root's alone."""

import os
from contextlib import suppress
from typing import Any

from paas_isolate.model.run import ProgramExit, Result
from paas_isolate.replace_file import Durability, replace_file

_MOST = 1 << 12
_LAST_MOMENT = 1e11
"""Seconds since the epoch: a later time is damage, and datetime could not show it."""


class JobResults:
    """`directory` holds a file `ACCOUNT.LEAF` for each job that has ended once; the first result makes it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    def read(self, name: str) -> Result | None:
        """None where there is no result, or an unreadable one."""
        try:
            fd = os.open(f"{self.directory}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            import json  # a run in which no job begins does not pay for it

            return result_from(json.loads(os.read(fd, _MOST)))
        except (OSError, ValueError, RecursionError):
            return None
        finally:
            os.close(fd)

    def write(self, name: str, result: Result) -> None:
        """Replace the result, whole or not at all. OSError. There is no fsync(2): each of a thousand jobs at midnight
        would delay the others, and a power cut loses the results of half a minute at the most."""
        import json

        data = json.dumps(result.plain()).encode() + b"\n"
        replace_file(f"{self.directory}/{name}", data, Durability.NONE, makes_directory=True)

    def forget(self, name: str) -> None:
        """Remove the result. A missing one is no error."""
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(f"{self.directory}/{name}")

    def names(self) -> list[str]:
        """`ACCOUNT.LEAF` of all jobs with a result."""
        try:
            return [name for name in os.listdir(self.directory) if name[0] != "."]
        except OSError:
            return []


def result_from(plain: Any) -> Result | None:
    """The Result of which `plain` was made by Result.plain(); None for anything else."""
    try:
        status, number = plain["status"], plain["signal"]
        end = ProgramExit(
            None if status is None else int(status),
            None if number is None else int(number),
            moment(plain["ended"]),
            oom_killed=plain["out_of_memory"] is True,
        )
        return Result(moment(plain["begun"]), end, moment(plain["succeeded"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def moment(value: str | float) -> float:
    """A time in seconds since the epoch. ValueError where the value is not one."""
    if not 0 <= (at := float(value)) <= _LAST_MOMENT:
        raise ValueError(f"no time: {value}")
    return at
