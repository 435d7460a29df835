"""A child for what may never come to an end: a read or a look that a customer can hold up."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep

_OURS = 3
"""The first descriptor that is no standard one."""
_REAPING = 0.2
"""Seconds that are waited for the end of a child that was killed."""


class Child:
    """Does `work` with the descriptor that the answer is written to; `fileno` is where it is read.

    It has no other descriptor of ours: who waits for ever holds neither the lock nor the terminal.
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
        """Whatever it does. What cannot be killed at once is not waited for."""
        os.close(self._answer)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        until = monotonic() + _REAPING
        # ChildProcessError: who started us may have told the kernel to forget children (sigaction(2), SA_NOCLDWAIT)
        with suppress(ChildProcessError):
            while not os.waitpid(self._pid, os.WNOHANG)[0] and monotonic() < until:
                sleep(0.001)


def _do(work: Callable[[int], None], to: int) -> None:
    """Never comes back, and never by an exception: its caller is the parent's."""
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
