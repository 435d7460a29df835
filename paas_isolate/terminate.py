"""Ending processes, when an administrator says so: asked first, then killed, and nothing survives."""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import pidfd
from paas_isolate.model import tree

_PAUSE = 0.02
_KILL_SECONDS = 10.0
_PROMPT = 0.2
"""Seconds after which what was killed, and has all the CPU time that it needs, has ended."""
_ONE_CORE = "100000 100000"


def terminate(cgroups: CgroupTree, paths: Collection[str], *, grace: float) -> int:
    """SIGTERM to the customers' processes below `paths`, `grace` seconds to leave, then cgroup.kill.

    Returns how many processes were there. What root runs in a leaf (sshd's monitor) is not asked, for it ends
    with its session; cgroup.kill takes it with the rest. HostError when something outlives even that.
    """
    there = {path: _pids(cgroups, path) for path in paths}
    if grace > 0:
        for pids in there.values():
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
    return sum(map(len, there.values()))


@contextmanager
def _one_core(cgroups: CgroupTree, paths: Collection[str]) -> Iterator[None]:
    """To exit takes CPU time too, and cpu.max holds that back: accounts that are sold less than one core have one until
    they are empty. Should this process be killed meanwhile, the next run sets what is sold: cpu.max differs then."""
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
            with suppress(OSError):  # the account has gone
                cgroups.write(path, "cpu.max", text)


def _less_than_a_core(text: str) -> bool:
    """See cgroup-v2.rst: `2000 100000`, or `max 100000`."""
    quota, _, period = text.partition(" ")
    return quota != "max" and int(quota) < int(period)


def _pids(cgroups: CgroupTree, path: str) -> list[int]:
    below = [pid for name in cgroups.children(path) for pid in _pids(cgroups, f"{path}/{name}")]
    return [*cgroups.pids(path), *below] if tree.depth(path) > 1 else below


def _wait(cgroups: CgroupTree, paths: Collection[str], seconds: float) -> set[str]:
    """The cgroups in which something still lives when the time is over, or none as soon as there is none."""
    deadline = time.monotonic() + seconds
    while left := {path for path in paths if cgroups.populated(path)}:
        if time.monotonic() >= deadline:
            break
        time.sleep(_PAUSE)
    return left
