"""When Python's garbage collector runs: never while something waits for the daemon.

With 10,000 accounts a full collection takes 20 ms and more, and Python starts one when much has been allocated: just
when much has to be repaired.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferred_gc() -> Iterator[None]:
    """Put collection off until the end of a full pass. What exists then is left out of later ones (gc.freeze)."""
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        gc.enable()
