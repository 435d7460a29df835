"""A child process for work that may never end, such as a read that a customer can delay without limit."""

import marshal
import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from typing import Any, TypeVar

from paas_isolate.errors import trouble

Result = TypeVar("Result")

_OURS = 3
"""The first descriptor after stdin, stdout and stderr."""
_REAPING = 0.2
"""Seconds that a killed child gets to end."""


class Child:
    """A child that calls `work` with a descriptor to write its answer to; `fileno` is the descriptor to read it from.

    The child closes all other descriptors that it inherited: if it waits without end, it holds neither the lock nor the
    terminal. OSError when no process can be made.
    """

    def __init__(self, work: Callable[[int], None]) -> None:
        answer, to = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(answer)
            os.close(to)
            raise
        if not self._pid:
            _do(work, to)
        os.close(to)
        self._answer = answer

    def fileno(self) -> int:
        return self._answer

    def end(self) -> None:
        """Kill the child and close `fileno`. Waits 0.2 s at most: a child in state D does not end at once."""
        os.close(self._answer)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        until = monotonic() + _REAPING
        # ChildProcessError: our caller ignores SIGCHLD, so the kernel has removed it (sigaction(2), SA_NOCLDWAIT)
        with suppress(ChildProcessError):
            while not os.waitpid(self._pid, os.WNOHANG)[0] and monotonic() < until:
                sleep(0.001)


def _do(work: Callable[[int], None], to: int) -> None:
    """Does not return and raises nothing: the code that called it belongs to the parent."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if to != _OURS:
            os.dup2(to, _OURS)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in range(_OURS):
            os.dup2(null, standard)
        os.closerange(_OURS + 1, os.sysconf("SC_OPEN_MAX"))
        work(_OURS)
    finally:
        os._exit(0)


def run_forked(work: Callable[[], Result], *, what: str, patience: float | None = None) -> Result:
    """What `work` returns, done in a child: what it changes of its process (mounts, namespaces, the C library's
    settings) ends with that. The result is plain data that marshal knows.

    `what` names the work in messages; `patience` is how many seconds it may take, None for as many as it needs. OSError
    as `work` raises it, where no child can be had, or where the child ended without an answer; TimeoutError where it
    took too long; RuntimeError with the traceback where `work` raised anything else.
    """
    child = Child(partial(_answer, work, what))
    try:
        data = _all_of(child, what, patience)
    finally:
        child.end()
    if not data:
        raise OSError(0, f"{what}: the child process ended without an answer")
    error, traceback, result = marshal.loads(data)  # noqa: S302  (from a child of our own)
    if error:
        raise OSError(*error)
    if traceback is not None:
        raise RuntimeError(traceback)
    found: Result = result
    return found


def _answer(work: Callable[[], Any], what: str, to: int) -> None:
    try:
        data = marshal.dumps((None, None, work()))
    except OSError as error:
        data = marshal.dumps(((error.errno or 0, f"{error.filename or what}: {error.strerror or error}"), None, None))
    except Exception as error:  # noqa: BLE001  (raised again in the parent)
        found = trouble(error)
        data = marshal.dumps((None, found.text or found.what, None))
    with open(to, "wb", closefd=False) as pipe:
        pipe.write(len(data).to_bytes(8) + data)


def _all_of(child: Child, what: str, patience: float | None) -> bytes:
    """b"" where the child ended before it had sent all."""
    waiting = select.poll()
    waiting.register(child, select.POLLIN)
    data, until = b"", monotonic() + patience if patience else None
    while waiting.poll(max(0.0, until - monotonic()) * 1000 if until else None):
        if not (more := os.read(child.fileno(), 1 << 16)):
            return data[8:] if len(data) == 8 + int.from_bytes(data[:8]) else b""
        data += more
    raise TimeoutError(0, f"{what}: no answer within {patience:.0f} s; a file system may be holding it up")
