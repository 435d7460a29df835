"""Waiting for a condition."""

import time
from collections.abc import Callable


def until(is_so: Callable[[], bool], patience: float) -> bool:
    """Whether the condition holds within `patience` seconds."""
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True
