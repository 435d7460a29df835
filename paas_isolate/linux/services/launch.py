"""Starts a program of a customer's with paas-run: inside its leaf, as its user, with no descriptor or right of root's.

Nothing here waits for the leaf, whose processes may get no CPU time: paas-run stays outside, and ends as soon as the
program's keeper process is inside. The keeper writes how the program began into the record of the run, when it gets
CPU time.
"""

import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from paas_isolate.errors import HostError
from paas_isolate.linux.process.pidfd import has_ended
from paas_isolate.linux.system import packages
from paas_isolate.model.service_program import Launch

LAUNCHER = "/usr/sbin/paas-run"

PATIENCE = 5.0
"""Seconds that paas-run may take: it waits for nothing but the name service (nsswitch.conf(5))."""
LEAF_FULL = 1
"""The exit status of paas-run where pids.max of the leaf is reached; 125 is any other failure of its own."""

_CLEAR = 10
"""Descriptors that are passed on have at least this number, so that none overwrites another when it gets its final
one."""


class LeafFullError(HostError):
    """The leaf has as many processes as it may have. The customer causes that, so it counts as a failed start."""


def launch(of: Launch, leaf: int, record: int, views: str, *, ended: str = "") -> None:
    """Start the program; with `ended` (how its last run ended) send the notices about that instead. `leaf` is a
    descriptor of its cgroup's directory, `record` one of the run's record, which its keeper process writes to, `views`
    the path of the handle under which the accounts' views are.

    LeafFullError where the leaf is full. HostError where paas-run is not installed or fails: no keeper process was
    started then. OSError where paas-run cannot be executed."""
    program = launcher()
    with ExitStack() as undo:
        request = _clear(_request_file(of, views, ended), undo)
        complaint = ""
        here, there = os.pipe2(os.O_CLOEXEC)
        undo.callback(os.close, here)
        with ExitStack() as handed:
            answer = _clear(there, handed)
            inherited = request, answer, answer, _clear(os.dup(leaf), handed), _clear(os.dup(record), handed)
            actions = [(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate(inherited)]
            child = os.posix_spawn(program, ["paas-run", f"{of.account}/{of.service}"], {}, file_actions=actions)
        status = _status_of(child)
        os.set_blocking(here, False)  # the keeper may keep the other end open for long
        with suppress(BlockingIOError):
            complaint = os.read(here, 4096).decode(errors="replace").removeprefix("paas-run: ").strip()
    if status != 0:
        error = LeafFullError if status == LEAF_FULL else HostError
        raise error(complaint or f"paas-run ended with {status}")


def launcher() -> str:
    """The path of paas-run. HostError where it is not installed."""
    return installed(LAUNCHER)


def installed(path: str) -> str:
    """The path. HostError where it is no executable file."""
    if not os.access(path, os.X_OK):
        raise HostError(f"{path} is not installed", hint=packages.reinstall("libpam-paas-isolate"))
    return path


def _request_file(of: Launch, views: str, ended: str) -> int:
    request = os.memfd_create("request", os.MFD_CLOEXEC)
    more = (f"ended={ended}",) if ended else ()
    with open(request, "wb", closefd=False) as file:
        file.writelines(text.encode() + b"\0" for text in (f"views={views}", *more, *_request(of)))
    os.lseek(request, 0, os.SEEK_SET)
    return request


def _request(of: Launch) -> Iterator[str]:
    """The lines of the request, as pam/launchers/request.c reads them."""
    name = of.service if of.number == 1 else f"{of.service}.{of.number}"
    yield from (
        f"user={of.called or of.user}",
        f"account={of.account}",
        f"service={of.service}",
        f"name={of.account}/{name}",
    )
    yield from (f"command={of.command}", f"directory={of.directory}", f"log={of.log}", f"log_max={of.log_max}")
    yield from (f"log_keep={of.log_keep}", f"umask={of.umask}", f"no_new_privs={int(of.no_new_privs)}")
    yield from (f"variable={name}={value}" for name, value in (*of.info_env, *of.environment))
    yield from (f"rlimit={getattr(resource, f'RLIMIT_{name.upper()}')}:{value}" for name, value in of.rlimits)
    if of.environment_file:
        yield f"environment_file={of.environment_file}"
    if of.health:
        yield f"health={of.health.run}"
        yield f"health_every={of.health.every}"
        yield f"health_failures={of.health.failures}"
    if of.on_failure.mail:
        yield f"mail={of.on_failure.mail}"
    if of.on_failure.run:
        yield f"hook={of.on_failure.run}"
    if of.view:
        yield f"view={of.view}"
    if of.last_try:
        yield "last_try=1"
    if of.is_job:
        yield "job=1"


def _clear(fd: int, undo: ExitStack) -> int:
    """A duplicate with a number that no final descriptor has; `fd` is closed."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _CLEAR)
    os.close(fd)
    undo.callback(os.close, high)
    return high


def _status_of(child: int) -> int:
    """The child's exit status, or the negative number of the signal that ended it. After PATIENCE it is killed."""
    pinned = os.pidfd_open(child)
    try:
        if not has_ended(pinned, within=PATIENCE):
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(pinned)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
