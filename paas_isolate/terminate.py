"""Ends all processes of cgroups on an administrator's order: SIGTERM, time to end, then SIGKILL."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import pidfd
from paas_isolate.model import tree

_PAUSE = 0.02
"""Seconds between two looks."""
_KILL_SECONDS = 10.0
_PROMPT = 0.2
"""Seconds in which killed processes end that get all the CPU time that they need."""
_ONE_CORE = "100000 100000"
"""cpu.max: 100 ms of every 100 ms (cgroup-v2.rst)."""


def terminate(cgroups: CgroupTree, paths: Collection[str], *, grace: float) -> int:
    """Send SIGTERM to the customers' processes below `paths`, wait up to `grace` seconds, then use cgroup.kill.

    Returns the number of processes at the beginning. Root's processes in a leaf (sshd's monitor) get no SIGTERM: they
    end with their session, or by cgroup.kill. Raises HostError when processes remain ten seconds after that.
    """
    pids_by_path = {path: _pids(cgroups, path) for path in paths}
    if grace > 0:
        for pids in pids_by_path.values():
            for pid in pids:
                pidfd.request_stop(pid)
        _wait(cgroups, paths, grace)
    for path in paths:
        if cgroups.populated(path):
            cgroups.kill(path)
    if left := _wait(cgroups, paths, _PROMPT):
        with _one_core(cgroups, left):
            left = _wait(cgroups, left, _KILL_SECONDS)
    if left:
        raise HostError(
            f"processes in {', '.join(sorted(left))} do not end even by SIGKILL",
            hint="they sleep in the kernel (state D): look at their disks, then at dmesg",
        )
    return sum(map(len, pids_by_path.values()))


@contextmanager
def _one_core(cgroups: CgroupTree, paths: Collection[str]) -> Iterator[None]:
    """Raise cpu.max to one core where it is less: exiting needs CPU time too, and a lower limit delays it. If this
    process is killed meanwhile, the next run finds that cpu.max differs, and corrects it."""
    accounts = {tree.account(tree.directory_of(path)) for path in paths}
    leaves = {f"{path}/{name}" for path in paths if tree.is_account(path) for name in cgroups.children(path)}
    was = {}
    try:
        for path in sorted(accounts | leaves | set(paths)):
            text = cgroups.read(path, "cpu.max")
            if text and _less_than_a_core(text):
                with suppress(OSError):
                    cgroups.write(path, "cpu.max", _ONE_CORE)
                    was[path] = text
        yield
    finally:
        for path, text in was.items():
            with suppress(OSError):  # the cgroup is gone
                cgroups.write(path, "cpu.max", text)


def _less_than_a_core(text: str) -> bool:
    """`text` is as in cpu.max (cgroup-v2.rst): `2000 100000`, or `max 100000`."""
    quota, _, period = text.partition(" ")
    return quota != "max" and int(quota) < int(period)


def _pids(cgroups: CgroupTree, path: str) -> list[int]:
    below = [pid for name in cgroups.children(path) for pid in _pids(cgroups, f"{path}/{name}")]
    return [*cgroups.pids(path), *below] if tree.depth(path) > 1 else below


def _wait(cgroups: CgroupTree, paths: Collection[str], seconds: float) -> set[str]:
    """Wait until the cgroups are empty, `seconds` at the most. Returns those that still have processes."""
    deadline = time.monotonic() + seconds
    while left := {path for path in paths if cgroups.populated(path)}:
        if time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE)
    return left
