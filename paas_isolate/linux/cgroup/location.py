"""Finding the tree's root on this machine."""

import os
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.linux.system import mounts, systemd
from paas_isolate.model import tree
from paas_isolate.model.account import Tree

SLICE = "paas.slice"


class TreeLocation(NamedTuple):
    """`mount` is the path where cgroup2 is mounted, `root` the path of our tree's directory. `weight_cgroup` is the
    cgroup, as `model.tree` names it, whose cpu.weight sets all customers against the rest of the machine."""

    mount: str
    root: str
    weight_cgroup: str


def find_tree(wanted: Tree) -> TreeLocation:
    """Where the tree is: `wanted.root`, or the cgroup of the unit `wanted.unit`. HostError when the unit does not run,
    when cgroup2 is not mounted, or when `wanted.root` does not exist or is not below the mount."""
    mount = mounts.cgroup2().point.rstrip("/")
    if wanted.root:
        root = _checked(mount, wanted.root)
        if not os.path.isdir(root):
            raise HostError(f"tree.root {root} does not exist yet", hint="paas-isolate reconcile makes it")
        return TreeLocation(mount, root, tree.ROOT)
    root = f"{mount}/{SLICE}/{wanted.unit}"
    if not os.path.isdir(root):
        # The unit is not in our slice: an administrator has put it into another one, or it does not run.
        root = mount + (systemd.control_group(wanted.unit) if systemd.running() else "")
    if root == mount or not os.path.isdir(root):
        raise HostError(f"the tree's unit {wanted.unit} does not run", hint=_advice(wanted.unit))
    top = root[len(mount) + 1 :].partition("/")[0]
    return TreeLocation(mount, root, f"/{top}" if top != wanted.unit else tree.ROOT)


def _advice(unit: str) -> str:
    return f"systemctl start {unit}" if systemd.running() else "systemd does not run here: set tree.root in config.yaml"


def make_tree(wanted: Tree) -> None:
    """Make the directory `tree.root`, where there is to be one. HostError where that is impossible."""
    if not wanted.root:
        return
    root = _checked(mounts.cgroup2().point.rstrip("/"), wanted.root)
    try:
        os.makedirs(root, exist_ok=True)
    except OSError as error:
        raise HostError(f"tree.root {root} cannot be made: {error.strerror}") from error


def _checked(mount: str, root: str) -> str:
    if not os.path.realpath(root).startswith(mount + "/"):
        raise HostError(f"tree.root {root} is not below {mount}, where cgroup2 is mounted")
    return root.rstrip("/")
