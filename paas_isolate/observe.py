"""Kernel -> World: every cgroup of the tree with its knobs, and every process of a customer's uid."""

from collections.abc import Iterable, Iterator

from paas_isolate.changes.desire import limited_by
from paas_isolate.changes.place import Places
from paas_isolate.linux import procfs
from paas_isolate.linux.cgroupfs import CgroupTree
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Sold
from paas_isolate.model.knobs import CONTROLLERS, DEFAULTS, SUBTREE_CONTROL
from paas_isolate.model.world import Knobs, Process, World


def observe(cgroups: CgroupTree, fleet: Fleet, *, weight_at: str = tree.ROOT) -> World:
    """Look at everything once. `weight_at` is the cgroup that holds the weight of all customers together."""
    found = _cgroups(cgroups, fleet.accounts.values(), weight_at)
    members = {path: pids for path in found if tree.is_leaf(path) and (pids := cgroups.pids(path))}
    return World(found, tuple(_processes(cgroups, fleet, members)), members)


def _cgroups(cgroups: CgroupTree, accounts: Iterable[Sold], weight_at: str) -> dict[str, Knobs]:
    inner, leaves = _knobs_of(cgroups)
    found: dict[str, Knobs] = {}

    def look(path: str, names: tuple[str, ...]) -> None:
        texts = cgroups.knobs(path, names)
        if texts or cgroups.exists(path):
            found[path] = _normal(texts)

    look(tree.ROOT, (SUBTREE_CONTROL, "cpu.weight") if weight_at == tree.ROOT else (SUBTREE_CONTROL,))
    if weight_at != tree.ROOT:
        look(weight_at, ("cpu.weight",))
    look(tree.USERS, inner)
    look(tree.PENALTY, leaves)
    above = len(found)
    for sold in accounts:
        look(tree.account(sold.directory), inner)
        for path, _ in limited_by(sold):
            look(path, leaves)
    if cgroups.descendants(tree.USERS) != len(found) - above:
        for path in _listed(cgroups):
            if path not in found:
                look(path, inner if tree.is_account(path) else leaves)
    return found


def _knobs_of(cgroups: CgroupTree) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The knobs of ours that this kernel offers, for inner cgroups and for leaves."""
    offered = cgroups.files(tree.USERS) if cgroups.exists(tree.USERS) else DEFAULTS.keys()
    leaves = tuple(knob for knob in DEFAULTS if knob in offered)
    return (SUBTREE_CONTROL, *leaves), leaves


def _listed(cgroups: CgroupTree) -> Iterator[str]:
    """Everything below users/. Asked only when the kernel counts other cgroups than those we know of, for a
    listing reads some sixty names a cgroup."""
    for directory in cgroups.children(tree.USERS):
        yield tree.account(directory)
        yield from _below(cgroups, tree.account(directory))


def _below(cgroups: CgroupTree, path: str) -> Iterator[str]:
    for name in cgroups.children(path):
        yield f"{path}/{name}"
        yield from _below(cgroups, f"{path}/{name}")


def _normal(texts: dict[str, str]) -> Knobs:
    """What the kernel prints, less what is not ours to judge: other controllers that somebody enabled."""
    if control := texts.get(SUBTREE_CONTROL):
        enabled = control.split()
        texts[SUBTREE_CONTROL] = " ".join(name for name in CONTROLLERS if name in enabled)
    return texts


def _processes(cgroups: CgroupTree, fleet: Fleet, members: dict[str, tuple[int, ...]]) -> Iterator[Process]:
    places = Places(fleet)
    leaf_of = {pid: path for path, pids in members.items() for pid in pids}
    for pid, uid in procfs.effective_uids():
        if not places.governed(uid):
            continue
        path = leaf_of.get(pid)
        sold = places.account_of(uid)
        if path is None or (sold is not None and places.rules_ask(sold)):
            process = _closely(cgroups, pid, path)
            if process is not None:
                yield process
        else:
            yield Process(pid, uid, path)


def _closely(cgroups: CgroupTree, pid: int, path: str | None) -> Process | None:
    """A process with all that placing it may depend on; None when it has ended."""
    identity = procfs.identity(pid)
    where = path if path is not None else cgroups.path_of(procfs.cgroup(pid) or "")
    if identity is None or not identity.alive or not where:
        return None
    return Process(
        pid=pid,
        uid=identity.uids[0],
        cgroup=where,
        start=identity.start,
        program=procfs.program(pid),
        command=procfs.command(pid),
        settled=identity.settled,
    )
