"""Files of an account that is gone: renamed at once, then removed by a process that a run waits for only a while.

A customer may nest directories to any depth, and millions of files take minutes. rm(1) goes down any depth, follows no
link, and is a process of its own. What it has not removed, the next run that makes or removes a view removes.
"""

import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress

GONE = ".gone-"
"""No account's name begins so, and no pattern of ours for tmpfiles.d(5) matches it."""

PATIENCE = 5.0
"""Seconds that a run waits for rm(1); then rm goes on by itself."""

_REMOVES = ("xargs", "-0", "rm", "-rf", "--one-file-system", "--")
"""By xargs(1), for all accounts may go at once, and their paths may exceed a command line (E2BIG, execve(2))."""


def set_aside(tmp: str) -> str:
    """Rename a directory so that nobody finds it under its name; '' or what went wrong. A missing one is no error."""
    above, name = os.path.split(tmp)
    try:
        os.rename(tmp, f"{above}/{GONE}{name}-{time.time_ns()}")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{tmp}: {error.strerror}"
    return ""


def set_aside_of_another(tmp: str, owner: int) -> None:
    """Set a directory aside where it belongs to an earlier account of that name, which its owner tells. One of root's
    is of a version that did not set the owner, and stays. OSError where it cannot be renamed."""
    with suppress(FileNotFoundError):
        owner_now = os.stat(tmp, follow_symlinks=False).st_uid
        if owner > 0 and owner_now not in (0, owner) and (wrong := set_aside(tmp)):
            raise OSError(0, wrong)


def remove(above: Iterable[str], patience: float = PATIENCE) -> str:
    """Remove everything that was set aside in these directories; '' or what went wrong. After `patience` seconds '' is
    returned, and the removal goes on by itself."""
    paths = [path for directory in above for path in _aside(directory)]
    if not paths:
        return ""
    rm = subprocess.Popen(_REMOVES, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, complaint = rm.communicate("\0".join(paths), timeout=patience)
    except subprocess.TimeoutExpired:
        return ""
    return complaint.partition("\n")[0] if rm.returncode else ""


def left_of(tmp: str) -> bool:
    """Whether something that `set_aside` has renamed from this path is still there."""
    above, name = os.path.split(tmp)
    return any(path.rpartition("-")[0] == f"{above}/{GONE}{name}" for path in _aside(above))


def _aside(directory: str) -> Iterator[str]:
    with suppress(FileNotFoundError):
        yield from (f"{directory}/{name}" for name in os.listdir(directory) if name.startswith(GONE))
