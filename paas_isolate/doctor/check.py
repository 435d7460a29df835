"""The result of a check."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "OK"
    FAILED = "FAILED"
    WARNING = "WARNING"
    """The host is fit, but something that is sold does not hold against everybody."""
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. `mend` is the command that mends a FAILED or WARNING, or what would improve an OK."""

    name: str
    verdict: Verdict
    found: str
    mend: str = ""
