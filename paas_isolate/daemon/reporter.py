"""Where the daemon reports what it does and what is wrong: it prints nothing itself."""

from collections.abc import Mapping
from typing import Protocol

from paas_isolate.errors import Trouble
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome
from paas_isolate.reconcile import Report


class Reporter(Protocol):
    """Each text is one line: line breaks in it are escaped."""

    def info(self, text: str) -> None:
        """Report what happened."""

    def warning(self, text: str) -> None:
        """Report what is degraded."""

    def error(self, text: str) -> None:
        """Report what is wrong."""

    def failure(self, what: str, error: Exception, *, warning: bool = False) -> None:
        """Report `what` an error of the machine or of a file is about, and the error; its hint on a line of its own."""

    def done(self, outcome: Outcome, by: str = "") -> None:
        """Report a step if it was done. `by` is who had made the change that it reverts."""

    def outcome(self, outcome: Outcome, by: str = "") -> None:
        """Report the outcome of a step, done or not."""

    def broken(self, found: Mapping[str, Trouble]) -> None:
        """Report paas-isolate's own bugs, by the account or process that each is about."""

    def rest(self, fleet: Fleet, report: Report) -> None:
        """Report errors in the specifications, and differences that remain after a pass."""
