"""Empties a tree for good: its processes go on at the root of the hierarchy, where no limit holds them."""

import os
from collections.abc import Iterator
from contextlib import suppress

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model import tree

_ROUNDS = 100
"""A process that is forked meanwhile is moved in the next round."""


def frozen(cgroups: CgroupTree) -> list[str]:
    """The accounts and services that are frozen: `alice`, `bob/web`."""
    below = [path.removeprefix(f"{tree.USERS}/") for path in _below(cgroups, tree.USERS)]
    held = [name for name in below if cgroups.read(tree.account(name), "cgroup.freeze") == "1"]
    return [name for name in held if name.rpartition("/")[0] not in held]


def let_out(cgroups: CgroupTree) -> int:
    """Thaw every cgroup and move its processes to the root of the hierarchy; then remove the cgroups. The number of
    processes. HostError where some are left."""
    moved = 0
    for _ in range(_ROUNDS):
        found = 0
        for path in _below(cgroups, tree.ROOT):
            if path.split("/")[0] == tree.ANCHOR:
                continue
            with suppress(OSError):
                cgroups.write(path, "cgroup.freeze", "0")
            for pid in cgroups.pids(path):
                found += 1
                with suppress(OSError):  # it has ended, or forks just now
                    cgroups.attach("/", pid)
                    moved += 1
        if not found:
            break
    else:
        raise HostError(f"processes are left below {cgroups.root}", hint=f"cat {cgroups.root}/users/*/*/cgroup.procs")
    for path in sorted(_below(cgroups, tree.ROOT), key=len, reverse=True):
        with suppress(OSError):
            cgroups.remove(path)
    return moved


def _below(cgroups: CgroupTree, path: str) -> Iterator[str]:
    for name in cgroups.children(path):
        child = os.path.join(path, name)
        yield child
        yield from _below(cgroups, child)
