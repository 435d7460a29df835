"""One run at a time. See flock(2): the lock goes with its holder, however that ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from paas_isolate.errors import BusyError

_PAUSE = 0.1


@contextmanager
def held(path: str, *, wait: float = 0) -> Iterator[None]:
    """Hold the lock for a while. BusyError when another run has it for longer than `wait` seconds."""
    fd = _open(path)
    try:
        _acquire(fd, time.monotonic() + wait)
        yield
    finally:
        os.close(fd)


def _open(path: str) -> int:
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:  # no tmpfiles.d here
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        return os.open(path, flags, 0o600)


def _acquire(fd: int, deadline: float) -> None:
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError("another run is at work") from None
            time.sleep(_PAUSE)
