"""All that is tried, in the order in which it matters."""

from collections.abc import Iterator

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.selftest import gate, limits, logins
from paas_isolate.doctor.selftest.scratch import NAME, scratch
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.account import Tree

_NAME = "cgroup"


def run(wanted: Tree, directory: str) -> Iterator[Check]:
    """Some seconds. The caller holds the lock. `directory` is on the disk that io.max is tried on."""
    try:
        location = find_tree(wanted)
    except HostError as error:
        yield Check("tree", Verdict.FAILED, str(error).splitlines()[0], error.hint)
        return
    with CgroupTree(location.mount, location.root) as cgroups:
        yield from run_in(cgroups, directory)


def run_in(cgroups: CgroupTree, directory: str, module: str = "") -> Iterator[Check]:
    """As `run`, in this tree. `module` is tried instead of the installed PAM module."""
    try:
        with scratch(cgroups) as place:
            yield Check(_NAME, Verdict.OK, f"{cgroups.root}/{NAME}")
            yield from limits.examine(place, directory)
            yield from logins.examine(place, module)
            yield from gate.examine(place)
    except OSError as error:
        yield Check(_NAME, Verdict.FAILED, f"{cgroups.root}: {error.strerror or error}", "paas-isolate doctor")
