"""The cgroup in which everything is tried, and processes in it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeVar

from paas_isolate.linux.cgroup.tree import CgroupTree, enter
from paas_isolate.linux.process.child import Child, run_forked
from paas_isolate.model.knobs import CONTROLLERS, SUBTREE_CONTROL

Result = TypeVar("Result")

NAME = "selftest"
"""The cgroup, below the tree's root. The lock of the run is held meanwhile, so that one name is enough; one that is
left of a killed run is removed by the next."""

PATIENCE = 10.0
"""Seconds that a process gets to do its part."""

_ENDING = 5.0
"""Seconds that killed processes get to leave."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Scratch:
    """Leaves below NAME, made when they are asked for."""

    def __init__(self, cgroups: CgroupTree) -> None:
        self.cgroups = cgroups

    def leaf(self, name: str) -> str:
        """The path of a new cgroup of this name. A name with a dot may be that of a file there."""
        path = f"{NAME}/{name.replace('.', '-')}"
        self.cgroups.create(path)
        return path

    def absolute(self, path: str) -> str:
        return os.path.join(self.cgroups.root, path)

    def inside(self, path: str, work: Callable[[], Result], *, patience: float = PATIENCE) -> Result | None:
        """What `work` returns, done by a process in the cgroup. None where that process was killed, or had no answer
        within so many seconds. OSError as `work` raises it."""
        place = self.absolute(path)

        def entered() -> Result:
            enter(place)
            _mortal()
            return work()

        try:
            return run_forked(entered, what=f"a process in {path}", patience=patience)
        except TimeoutError:
            return None
        except OSError as error:
            if error.errno:
                raise
            return None

    @contextmanager
    def running(self, path: str, work: Callable[[], object]) -> Iterator[None]:
        """A process in the cgroup that does `work` while the block lasts, and is there when the block begins."""
        place = self.absolute(path)

        def entered(to: int) -> None:
            enter(place)
            os.write(to, b"1")
            work()

        child = Child(entered)
        try:
            os.read(child.fileno(), 1)
            yield
        finally:
            child.end()

    def wait(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Whether it is so within so many seconds."""
        until = time.monotonic() + seconds
        while not (found := is_so()) and time.monotonic() < until:
            time.sleep(0.01)
        return found


@contextmanager
def scratch(cgroups: CgroupTree) -> Iterator[Scratch]:
    """The cgroup with all controllers that the tree has, for the block; afterwards its processes are killed and all is
    as it was. OSError where it cannot be made, with EBUSY where processes are in the tree's root itself."""
    with _ended_by_signals():
        _remove(cgroups)
        enabled = (cgroups.read("", SUBTREE_CONTROL) or "").split()
        offered = (cgroups.read("", "cgroup.controllers") or "").split()
        missing = [name for name in CONTROLLERS if name in offered and name not in enabled]
        try:
            _control(cgroups, "", "+", missing)
            cgroups.create(NAME)
            _control(cgroups, NAME, "+", [name for name in CONTROLLERS if name in offered])
            yield Scratch(cgroups)
        finally:
            held = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            try:
                _remove(cgroups)
                with suppress(OSError):  # EBUSY: somebody has made cgroups with these controllers meanwhile
                    _control(cgroups, "", "-", missing)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _control(cgroups: CgroupTree, path: str, sign: str, controllers: list[str]) -> None:
    if controllers:
        cgroups.write(path, SUBTREE_CONTROL, " ".join(f"{sign}{name}" for name in controllers))


def _remove(cgroups: CgroupTree) -> None:
    if not cgroups.exists(NAME):
        return
    cgroups.kill(NAME)
    until = time.monotonic() + _ENDING
    while cgroups.populated(NAME) and time.monotonic() < until:
        time.sleep(0.01)
    for path in reversed(list(_below(cgroups, NAME))):
        cgroups.remove(path)
    cgroups.remove(NAME)


def _below(cgroups: CgroupTree, path: str) -> Iterator[str]:
    for name in cgroups.children(path):
        yield f"{path}/{name}"
        yield from _below(cgroups, f"{path}/{name}")


def _mortal() -> None:
    """A shell may have told the OOM killer to spare it and what it starts (proc_pid_oom_score_adj(5))."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("0")


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, and so with what undoes it."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
