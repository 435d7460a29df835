"""Where the daemon reports what it does and what is wrong: it prints nothing itself."""

from collections.abc import Mapping
from typing import Protocol

from paas_isolate.errors import Trouble
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome
from paas_isolate.reconcile import Report


class Reporter(Protocol):
    """Each text is one line: whatever is in it that would begin another is escaped."""

    def info(self, text: str) -> None:
        """What happened, and is well."""

    def warning(self, text: str) -> None:
        """What works less well than it could."""

    def error(self, text: str) -> None:
        """What is wrong."""

    def failure(self, what: str, error: Exception, *, warning: bool = False) -> None:
        """What an error of the machine or of a file is about, and the error; its hint on a line of its own."""

    def done(self, outcome: Outcome, by: str = "") -> None:
        """What was done; nothing where it was not. `by` is who had changed it before."""

    def outcome(self, outcome: Outcome, by: str = "") -> None:
        """What became of a step, whatever that is."""

    def broken(self, found: Mapping[str, Trouble]) -> None:
        """Errors of paas-isolate's own, by the account or process that each is about."""

    def rest(self, fleet: Fleet, report: Report) -> None:
        """What is wrong in the specifications, and what differs still after a pass."""
