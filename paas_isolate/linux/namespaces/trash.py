"""Files of an account that is gone: out of the way at once, and removed without being waited for for ever.

A customer nests directories as deep as it likes, and millions of files take minutes: rm(1) goes down any depth, follows
no link, and is a process of its own. What it has not managed, the next run that makes or takes away a view removes.
"""

import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

GONE = ".gone-"
"""No account's name begins so, and no pattern of tmpfiles.d(5) finds it."""

PATIENCE = 5.0
"""Seconds that a run waits for what it removes; then it goes on without it."""

_REMOVES = ("xargs", "-0", "rm", "-rf", "--one-file-system", "--")
"""More paths than a command line holds (E2BIG, execve(2)): all accounts may go at once."""


def set_aside(tmp: str) -> str:
    """From now on nobody finds it; '' or what went wrong. What is not there is fine."""
    above, name = os.path.split(tmp)
    try:
        os.rename(tmp, f"{above}/{GONE}{name}-{time.time_ns()}")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{tmp}: {error.strerror}"
    return ""


def set_aside_of_another(tmp: str, owner: int) -> None:
    """An account of that name may have been there before: of whom, its directory says. What is root's is of a version
    that did not say it yet. OSError where it stays in the way."""
    with suppress(FileNotFoundError):
        whose = os.stat(tmp, follow_symlinks=False).st_uid
        if owner > 0 and whose not in (0, owner) and (wrong := set_aside(tmp)):
            raise OSError(0, wrong)


def remove(above: Iterable[str], patience: float = PATIENCE) -> str:
    """All that was set aside in these directories; '' or what went wrong. What takes longer goes on by itself."""
    paths = [path for directory in above for path in _aside(directory)]
    if not paths:
        return ""
    rm = subprocess.Popen(_REMOVES, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, said = rm.communicate("\0".join(paths), timeout=patience)
    except subprocess.TimeoutExpired:
        return ""
    return said.partition("\n")[0] if rm.returncode else ""


def left_of(tmp: str) -> bool:
    """Whether something of it is there still."""
    above, name = os.path.split(tmp)
    return any(path.rpartition("-")[0] == f"{above}/{GONE}{name}" for path in _aside(above))


def _aside(directory: str) -> Iterator[str]:
    with suppress(FileNotFoundError):
        yield from (f"{directory}/{name}" for name in os.listdir(directory) if name.startswith(GONE))
