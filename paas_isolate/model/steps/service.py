"""Steps for the services that paas-isolate runs. `path` is the leaf of the service."""

from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.run import Result
from paas_isolate.model.service_program import Launch
from paas_isolate.model.steps.base import step


@step
class Start(NamedTuple):
    """Start the program of a service in its leaf."""

    path: str
    launch: Launch

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"start {_service(self.path)}"


@step
class Stop(NamedTuple):
    """Ask all processes in the leaf of a service to end; a later pass kills those that have not after `timeout`
    milliseconds. `tidy`: the program has ended already, and only the processes that it left behind are asked."""

    path: str
    reason: str
    timeout: int
    tidy: bool = False

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"stop {_service(self.path)}: {self.reason}"


@step
class Kill(NamedTuple):
    """Kill all processes in the leaf of a service. `before` is how often that was done already: a process that waits
    for a dead file system (state D, proc_pid_stat(5)) ends only when that answers, and only the first kill is
    reported."""

    path: str
    reason: str
    before: int = 0

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"kill {_service(self.path)}: {self.reason}"


@step
class GiveUp(NamedTuple):
    """Stop starting a service, until it is changed or a start is ordered."""

    path: str
    reason: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"give {_service(self.path)} up: {self.reason}"


@step
class ScheduleJob(NamedTuple):
    """Make a record for a job that has none of this boot, or skip a time that it missed: its next time is after now."""

    path: str
    digest: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"await the time of {_service(self.path)}"


@step
class SaveResult(NamedTuple):
    """Save the result of a job where it survives a reboot."""

    path: str
    result: Result

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"remember that {_service(self.path)} ended with {self.result.end}"


@step
class NotifyFailure(NamedTuple):
    """Report the failure of a program (`on_failure`) whose shim was killed together with it and so did not report
    it."""

    path: str
    launch: Launch
    how: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"tell how {_service(self.path)} ended: {self.how}"


@step
class ForgetRun(NamedTuple):
    """Delete the record of a leaf that is no longer a service's."""

    path: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"forget what ran as {_service(self.path)}"


def _service(path: str) -> str:
    return path.removeprefix(f"{tree.USERS}/")


ServiceStep = Start | Stop | Kill | GiveUp | ScheduleJob | SaveResult | NotifyFailure | ForgetRun
