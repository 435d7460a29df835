"""Timers with a descriptor to poll, and an event source for changes of the clock. See timerfd_create(2), which Python
has from 3.13 on."""

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
    """struct itimerspec: the interval and the time until the first expiry, in seconds and nanoseconds."""

    _fields_ = [(name, ctypes.c_long) for name in ("every", "every_ns", "first", "first_ns")]


class Timer:
    """A timer whose descriptor is readable after it has expired. It does not run before `arm`. OSError when none can be
    made."""

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
        """Expire every so many seconds from now on; 0 stops the timer."""
        whole, rest = int(seconds), int(seconds % 1 * 1e9)
        times = _Times(whole, rest, whole, rest)
        if self._libc.timerfd_settime(self._fd, 0, ctypes.byref(times), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def read(self) -> None:
        """Clear past expiries, so that the descriptor is no longer readable."""
        with suppress(BlockingIOError):
            os.read(self._fd, 8)


class ClockChangeSource:
    """Event source: the machine's clock was set, which schedules depend on. Slewing (adjtime(3)) is not reported.
    OSError when there is no timer."""

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
            if code != errno.ECANCELED:  # the clock was set just now, and is reported
                raise OSError(code, "timerfd_settime")

    def read(self) -> Iterator[Event]:
        """One MACHINE event when the clock was set."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._wait()
        yield Event(EventKind.MACHINE, "the clock was set")
