"""A child process for work that may never end, such as a read that a customer can delay without limit."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep

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
