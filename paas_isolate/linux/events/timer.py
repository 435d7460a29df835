"""A clock that is heard like everything else. See timerfd_create(2); Python has it from 3.13 on."""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import suppress

from paas_isolate.linux.events.event import Event, EventKind

_REALTIME, _MONOTONIC = 0, 1
_WHEN_SET = 1 | 2  # TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
_NEVER = 2**62  # seconds since 1970
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK, TFD_CLOEXEC


class _Times(ctypes.Structure):
    """struct itimerspec: seconds and nanoseconds of the interval, then of the first time."""

    _fields_ = [(name, ctypes.c_long) for name in ("every", "every_ns", "first", "first_ns")]


class Timer:
    """Its descriptor can be read when it has struck. It stands until it is set; OSError where there is none."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_MONOTONIC, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def fileno(self) -> int:
        return int(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def arm(self, seconds: float) -> None:
        """From now on every so many seconds; 0: no more."""
        whole, rest = int(seconds), int(seconds % 1 * 1e9)
        times = _Times(whole, rest, whole, rest)
        if self._libc.timerfd_settime(self._fd, 0, ctypes.byref(times), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def read(self) -> None:
        """Whatever it has struck until now is done with."""
        with suppress(BlockingIOError):
            os.read(self._fd, 8)


class ClockChangeSource:
    """Hears when somebody sets the clock: schedules go by it. That it is slewed (adjtime(3)) is no news."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_REALTIME, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._wait()

    def fileno(self) -> int:
        return int(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def _wait(self) -> None:
        if self._libc.timerfd_settime(self._fd, _WHEN_SET, ctypes.byref(_Times(0, 0, _NEVER, 0)), None):
            code = ctypes.get_errno()
            if code != errno.ECANCELED:  # it was set in this moment: that is told
                raise OSError(code, "timerfd_settime")

    def read(self) -> Iterator[Event]:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._wait()
        yield Event(EventKind.MACHINE, "the clock was set")
