"""Steps of services that paas-isolate runs."""

from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.run import Result
from paas_isolate.model.service_program import Launch
from paas_isolate.model.steps.base import step


@step
class Start(NamedTuple):
    """Begin the program of a service in its leaf."""

    path: str
    launch: Launch

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"start {_service(self.path)}"


@step
class Stop(NamedTuple):
    """Ask all in the leaf of a service to end. What has not after `timeout` milliseconds is killed. `tidy`: its program
    has ended already, and what is left in the leaf goes for our own sake; nobody has ordered that."""

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
    """End all in the leaf of a service. `before` is how often that was done already: whoever waits for a file system
    that does not answer ends when it does (state D, proc_pid_stat(5)), and only the first time is news."""

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
    """Start a service no more, until it is changed or somebody says so."""

    path: str
    reason: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"give {_service(self.path)} up: {self.reason}"


@step
class ScheduleJob(NamedTuple):
    """Note a job that has not run since the machine was booted: it is due from now on."""

    path: str
    digest: str

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"await the time of {_service(self.path)}"


@step
class SaveResult(NamedTuple):
    """Keep the result of a job where it outlives a boot."""

    path: str
    result: Result

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"remember that {_service(self.path)} ended with {self.result.end}"


@step
class NotifyFailure(NamedTuple):
    """Have those told who are to hear that a program failed, where its keeper was killed together with it."""

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
    """Forget what ran in a leaf that is no service's any more. The 1 tells it from a Remove."""

    path: str
    what: int = 1

    @property
    def owner(self) -> str:
        return tree.directory_of(self.path)

    def __str__(self) -> str:
        return f"forget what ran as {_service(self.path)}"


def _service(path: str) -> str:
    return path.removeprefix(f"{tree.USERS}/")


ServiceStep = Start | Stop | Kill | GiveUp | ScheduleJob | SaveResult | NotifyFailure | ForgetRun
