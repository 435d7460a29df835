"""Work in a child: what it does to its mounts is its own, and ends with it."""

import marshal
import os
import signal
from collections.abc import Callable
from typing import Any

from paas_isolate.errors import trouble


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` answers, as marshal knows it. OSError where the child failed, with its words; RuntimeError with its
    traceback where nobody expected what it raised."""
    answer, to = os.pipe()
    before = signal.getsignal(signal.SIGCHLD)
    if before is signal.SIG_IGN:  # then nobody could wait for it (sigaction(2), SA_NOCLDWAIT)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        child = os.fork()
        if not child:
            _do(work, to)
        os.close(to)
        with open(answer, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
    finally:
        if before is signal.SIG_IGN:
            signal.signal(signal.SIGCHLD, before)
    if not said:
        raise OSError(0, "the process that was to look after the views has ended")
    wrong, found = marshal.loads(said)  # noqa: S302  (from a child of our own)
    if isinstance(wrong, str):
        raise RuntimeError(wrong)
    if wrong:
        raise OSError(*wrong)
    return found


def _do(work: Callable[[], Any], to: int) -> None:
    """Never comes back, and never by an exception: its caller is the parent's."""
    try:
        try:
            said = marshal.dumps((None, work()))
        except OSError as error:
            said = marshal.dumps(((error.errno or 0, f"{error.filename or 'views'}: {error.strerror}"), None))
        except Exception as error:  # noqa: BLE001  (the parent tells it, and tries each view alone)
            said = marshal.dumps((trouble(error).text, None))
        with open(to, "wb") as pipe:
            pipe.write(said)
    finally:
        os._exit(0)
