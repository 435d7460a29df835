"""Asks again until it is so."""

import time
from collections.abc import Callable


def until(is_so: Callable[[], bool], patience: float) -> bool:
    end = time.monotonic() + patience
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True
