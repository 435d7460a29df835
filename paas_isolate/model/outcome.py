"""How a step ended."""

from enum import StrEnum
from typing import NamedTuple

from paas_isolate.errors import Trouble
from paas_isolate.model.steps import Step


class Status(StrEnum):
    DONE = "done"
    GONE = "gone"  # the target is no longer there, so nothing is left to do
    SKIPPED = "skipped"
    PENDING = "pending"  # it cannot be done now without harm; the next pass tries again
    FAILED = "failed"


class Outcome(NamedTuple):
    """How one step ended. `reason` is set for SKIPPED, PENDING and FAILED.

    `trouble` is an unexpected exception (our bug) that was raised while the step was carried out.
    """

    step: Step
    status: Status
    reason: str = ""
    trouble: Trouble | None = None
