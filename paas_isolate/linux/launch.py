"""Beginning a program of a customer's, by paas-run: inside its leaf, as its user, with nothing of root's."""

import fcntl
import os
import resource
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from paas_isolate.errors import HostError
from paas_isolate.model.work import Launch

LAUNCHERS: tuple[str, ...] = ("/usr/local/sbin/paas-run", "/usr/sbin/paas-run")
"""Where scripts/install puts it, and where a package of a distribution would."""

PATIENCE = 15.0
"""Seconds; what sits in a frozen leaf paas-run itself gives up after ten."""

_CLEAR = 10
"""Descriptors that are handed on lie above those that they become."""


def launch(of: Launch, leaf: int, record: int, views: str, *, ended: str = "") -> None:
    """Begin it; or have those told who are to hear how it `ended`. `leaf` is the directory of its cgroup, `record` what
    its keeper adds to, `views` the handle of the views' keeper. HostError when nothing began."""
    program = launcher()
    with ExitStack() as undo:
        request = _clear(_request_file(of, views, ended), undo)
        here, there = os.pipe2(os.O_CLOEXEC)
        undo.callback(os.close, here)
        with ExitStack() as handed:
            answer = _clear(there, handed)
            its = request, answer, answer, _clear(os.dup(leaf), handed), _clear(os.dup(record), handed)
            actions = [(os.POSIX_SPAWN_DUP2, fd, to) for to, fd in enumerate(its)]
            child = os.posix_spawn(program, ["paas-run", f"{of.account}/{of.service}"], {}, file_actions=actions)
        told = _all_of(here, child)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        raise HostError(told.removeprefix("paas-run: ").strip() or f"paas-run ended with {status}")


def launcher() -> str:
    """The path of paas-run. HostError where it is not installed."""
    return installed(LAUNCHERS)


def installed(paths: Sequence[str]) -> str:
    """The first of these places that a program of ours lies in. HostError where it lies in none."""
    for path in paths:
        if os.access(path, os.X_OK):
            return path
    raise HostError(
        f"{os.path.basename(paths[0])} is not installed", hint="scripts/install puts it into /usr/local/sbin"
    )


def _request_file(of: Launch, views: str, ended: str) -> int:
    request = os.memfd_create("request", os.MFD_CLOEXEC)
    more = (f"ended={ended}",) if ended else ()
    with open(request, "wb", closefd=False) as file:
        file.writelines(text.encode() + b"\0" for text in (f"views={views}", *more, *_request(of)))
    os.lseek(request, 0, os.SEEK_SET)
    return request


def _request(of: Launch) -> Iterator[str]:
    """See pam/request.h."""
    name = of.service if of.number == 1 else f"{of.service}.{of.number}"
    yield from (
        f"user={of.called or of.user}",
        f"account={of.account}",
        f"service={of.service}",
        f"name={of.account}/{name}",
    )
    yield from (f"command={of.command}", f"directory={of.directory}", f"log={of.log}", f"log_max={of.log_max}")
    yield from (f"log_keep={of.log_keep}", f"umask={of.umask}", f"no_new_privs={int(of.no_new_privs)}")
    yield from (f"variable={name}={value}" for name, value in (*of.told, *of.environment))
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


def _clear(fd: int, undo: ExitStack) -> int:
    """The same above those that it may become."""
    high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _CLEAR)
    os.close(fd)
    undo.callback(os.close, high)
    return high


def _all_of(pipe: int, child: int) -> str:
    """What it says until it ends; it is ended where that takes too long."""
    waits = select.poll()
    waits.register(pipe, select.POLLIN)
    text, deadline = b"", time.monotonic() + PATIENCE
    while waits.poll(max(0.0, deadline - time.monotonic()) * 1000):
        if not (more := os.read(pipe, 4096)):
            return text.decode(errors="replace")
        text += more
    os.kill(child, signal.SIGKILL)
    return text.decode(errors="replace")
