"""How a step ended."""

from enum import StrEnum
from typing import NamedTuple

from paas_isolate.errors import Trouble
from paas_isolate.model.steps import Step


class Status(StrEnum):
    DONE = "done"
    GONE = "gone"  # the target was no longer there: as good as done
    SKIPPED = "skipped"
    PENDING = "pending"  # it cannot be done now without harm; the next pass tries again
    FAILED = "failed"


class Outcome(NamedTuple):
    """How one step ended, and why where it is not simply done.

    `trouble` is an exception that nobody expected, raised while the step was carried out.
    """

    step: Step
    status: Status
    reason: str = ""
    trouble: Trouble | None = None
