"""The daemon's reporter: standard output and standard error, which systemd hands to the journal."""

from collections.abc import Mapping

from paas_isolate.cli import output
from paas_isolate.cli.run import tell, tell_outcome
from paas_isolate.errors import Trouble
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.reconcile import Report


class TerminalReporter:
    """A daemon.reporter.Reporter."""

    def info(self, text: str) -> None:
        output.line(text)

    def warning(self, text: str) -> None:
        output.line(text, fg="yellow", err=True)

    def error(self, text: str) -> None:
        output.line(text, fg="red", err=True)

    def failure(self, what: str, error: Exception, *, warning: bool = False) -> None:
        output.lines(f"{what}: {error}", fg="yellow" if warning else "red", err=True)

    def done(self, outcome: Outcome, by: str = "") -> None:
        tell_outcome(outcome, by)

    def outcome(self, outcome: Outcome, by: str = "") -> None:
        output.line(output.outcome_line(outcome, by), err=outcome.status not in (Status.DONE, Status.GONE))

    def broken(self, found: Mapping[str, Trouble]) -> None:
        output.broken(found)

    def rest(self, fleet: Fleet, report: Report) -> None:
        tell(fleet, report, quiet=True)
