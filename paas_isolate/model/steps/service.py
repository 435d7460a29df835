"""The steps of services that paas-isolate runs: each says itself in one sentence, as those of `steps` do."""

from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.run import Result
from paas_isolate.model.service_program import Launch


class Start(NamedTuple):
    """Begin the program of a service in its leaf."""

    path: str
    launch: Launch

    def __str__(self) -> str:
        return f"start {_service(self.path)}"


class Stop(NamedTuple):
    """Ask all in the leaf of a service to end. What has not after `timeout` milliseconds is killed. `tidy`: its program
    has ended already, and what is left in the leaf goes for our own sake; nobody has ordered that."""

    path: str
    reason: str
    timeout: int
    tidy: bool = False

    def __str__(self) -> str:
        return f"stop {_service(self.path)}: {self.reason}"


class Kill(NamedTuple):
    """End all in the leaf of a service. `before` is how often that was done already: whoever waits for a file system
    that does not answer ends when it does (state D, proc_pid_stat(5)), and only the first time is news."""

    path: str
    reason: str
    before: int = 0

    def __str__(self) -> str:
        return f"kill {_service(self.path)}: {self.reason}"


class GiveUp(NamedTuple):
    """Start a service no more, until it is changed or somebody says so."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"give {_service(self.path)} up: {self.reason}"


class ScheduleJob(NamedTuple):
    """Note a job that has not run since the machine was booted: it is due from now on."""

    path: str
    digest: str

    def __str__(self) -> str:
        return f"await the time of {_service(self.path)}"


class SaveResult(NamedTuple):
    """Keep the result of a job where it outlives a boot."""

    path: str
    result: Result

    def __str__(self) -> str:
        return f"remember that {_service(self.path)} ended with {self.result.end}"


class NotifyFailure(NamedTuple):
    """Have those told who are to hear that a program failed, where its keeper was killed together with it."""

    path: str
    launch: Launch
    how: str

    def __str__(self) -> str:
        return f"tell how {_service(self.path)} ended: {self.how}"


class ForgetRun(NamedTuple):
    """Forget what ran in a leaf that is no service's any more. The 1 tells it from a Remove."""

    path: str
    what: int = 1

    def __str__(self) -> str:
        return f"forget what ran as {_service(self.path)}"


def _service(path: str) -> str:
    return path.removeprefix(f"{tree.USERS}/")
