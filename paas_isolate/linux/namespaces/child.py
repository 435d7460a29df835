"""Work in a child: what it does to its mounts is its own, and ends with it."""

import marshal
import os
import select
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from paas_isolate.errors import trouble
from paas_isolate.linux.process.child import Child

PATIENCE = 120.0
"""Seconds: a thousand views take a tenth of it. What takes longer waits for a file system that does not answer."""


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` answers, as marshal knows it. OSError where the child failed, with its words, or took too long;
    RuntimeError with its traceback where nobody expected what it raised."""
    child = Child(partial(_do, work))
    try:
        said = _all_of(child)
    finally:
        child.end()
    if not said:
        raise OSError(0, "the process that was to look after the views has ended")
    wrong, found = marshal.loads(said)  # noqa: S302  (from a child of our own)
    if isinstance(wrong, str):
        raise RuntimeError(wrong)
    if wrong:
        raise OSError(*wrong)
    return found


def _all_of(child: Child) -> bytes:
    waits = select.poll()
    waits.register(child, select.POLLIN)
    said, until = b"", monotonic() + PATIENCE
    while waits.poll(max(0.0, until - monotonic()) * 1000):
        if not (more := os.read(child.fileno(), 1 << 16)):
            return said
        said += more
    raise TimeoutError(0, "the views cannot be looked after: a file system does not answer")


def _do(work: Callable[[], Any], to: int) -> None:
    try:
        said = marshal.dumps((None, work()))
    except OSError as error:
        said = marshal.dumps(((error.errno or 0, f"{error.filename or 'views'}: {error.strerror}"), None))
    except Exception as error:  # noqa: BLE001  (the parent tells it, and tries each view alone)
        said = marshal.dumps((trouble(error).text, None))
    with open(to, "wb", closefd=False) as pipe:
        pipe.write(said)
