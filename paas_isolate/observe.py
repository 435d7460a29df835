"""Kernel -> World: every cgroup of the tree with its knobs, and every process of a customer's uid."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import cache, partial

from paas_isolate.changes import catalogue
from paas_isolate.changes.place import Places
from paas_isolate.changes.quotas import quotas_as_sold
from paas_isolate.linux import procfs, shares
from paas_isolate.linux.cgroupfs import PROCS, CgroupTree
from paas_isolate.linux.commands import Asked, CommandReader
from paas_isolate.linux.doors import DoorDirectory
from paas_isolate.linux.records import RecordDirectory
from paas_isolate.linux.services import runs
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Sold
from paas_isolate.model.knobs import CONTROLLERS, DEFAULTS, SUBTREE_CONTROL
from paas_isolate.model.network import Network, Wires
from paas_isolate.model.quota import Quotas, Rations
from paas_isolate.model.view import Looks, Views
from paas_isolate.model.world import Knobs, Process, World

WORTH_A_PROCESS = 100
"""Accounts: a fork(2) and the way back cost as much as looking at some ten."""


def observe(
    cgroups: CgroupTree,
    fleet: Fleet,
    *,
    weight_at: str = tree.ROOT,
    doors: DoorDirectory | None = None,
    wires: Wires | None = None,
    records: RecordDirectory | None = None,
    looks: Looks | None = None,
    rations: Rations | None = None,
    since: tuple[World, Collection[str]] | None = None,
    commands: CommandReader | None = None,
) -> World:
    """Look at everything once. `weight_at` is the cgroup that holds the weight of all customers together.

    `since` is an earlier look of the same run with the account directories that were worked on after it: of the
    other accounts its cgroups are taken over.
    """
    seen = _Seen(cgroups)
    if not _look_at_all(seen, fleet, weight_at, since) and since:
        seen = _Seen(cgroups)  # what was taken over is not there any more
        _look_at_all(seen, fleet, weight_at, None)
    places = Places(fleet)
    processes = tuple(_processes(cgroups, places, seen.members, procfs.effective_uids()))
    return World(
        seen.cgroups,
        with_commands(places, processes, commands or CommandReader()),
        seen.members,
        doors=doors.look() if doors else {},
        network=wires.look() if wires else Network(),
        runs=runs(cgroups, records, seen.members) if records else {},
        views=looks.look() if looks else Views(),
        quotas=rations.look(quotas_as_sold(fleet).sold) if rations else Quotas(),
    )


def observe_account(
    cgroups: CgroupTree,
    sold: Sold,
    places: Places,
    uids: Collection[int] = (),
    records: RecordDirectory | None = None,
    commands: CommandReader | None = None,
) -> World:
    """Look at the cgroups of one account and the processes there, and at those of `uids` wherever they are."""
    seen = _Seen(cgroups)
    inner, leaves = _names(cgroups, like=tree.PENALTY)  # as users/, but it has no thousand children to be listed
    seen.cgroups, seen.members = _look_at_accounts(cgroups, inner, leaves, [sold])
    path = tree.account(sold.directory)
    if cgroups.subdirectories(path) != len(seen.cgroups) - 1:
        for other in _below(cgroups, path, seen.cgroups.copy()):
            seen.look(other, leaves)
    there = [(pid, uid) for pids in seen.members.values() for pid in pids if (uid := procfs.effective_uid(pid))]
    around = {*there, *(it for it in procfs.effective_uids() if it[1] in uids)} if uids else there
    ran = runs(cgroups, records, seen.members, seen.cgroups) if records else {}
    processes = tuple(_processes(cgroups, places, seen.members, around))
    return World(seen.cgroups, with_commands(places, processes, commands or CommandReader()), seen.members, runs=ran)


class _Seen:
    """What has been seen of the tree so far."""

    def __init__(self, cgroup_tree: CgroupTree) -> None:
        self.tree = cgroup_tree
        self.cgroups: dict[str, Knobs] = {}
        self.members: dict[str, tuple[int, ...]] = {}

    def look(self, path: str, names: tuple[str, ...]) -> bool:
        """Take in one cgroup; whether it is there."""
        found = self.tree.look(path, names)
        if found is None:
            return False
        knobs, pids = found
        if pids:
            self.members[path] = pids
        if (control := knobs.get(SUBTREE_CONTROL)) and (ours := _ours(control)) != control:
            knobs = {**knobs, SUBTREE_CONTROL: ours}
        self.cgroups[path] = knobs
        return True


def _look_at_all(seen: _Seen, fleet: Fleet, weight_at: str, since: tuple[World, Collection[str]] | None) -> bool:
    """Whether there are as many cgroups as the kernel counts."""
    inner, leaves = _names(seen.tree)
    seen.look(tree.ROOT, (SUBTREE_CONTROL, "cpu.weight") if weight_at == tree.ROOT else (SUBTREE_CONTROL,))
    if weight_at != tree.ROOT:
        seen.look(weight_at, ("cpu.weight",))
    seen.look(tree.USERS, inner)
    seen.look(tree.PENALTY, leaves)
    above, below = len(seen.cgroups), seen.tree.descendants(tree.USERS)
    accounts = _take_over(seen, fleet, *since) if since else list(fleet.accounts.values())
    if below:
        count = shares.number(len(accounts), least=WORTH_A_PROCESS)
        look = partial(_look_at_accounts, seen.tree, inner, leaves)
        for cgroups, members in shares.carry_out(look, shares.parts(accounts, count)):
            seen.cgroups.update(cgroups)
            seen.members.update(members)
    missing = below - (len(seen.cgroups) - above)
    for path in _strangers(seen.tree, seen.cgroups, missing) if missing else ():
        seen.look(path, inner if tree.is_account(path) else leaves)
    return below == len(seen.cgroups) - above


def _take_over(seen: _Seen, fleet: Fleet, before: World, touched: Collection[str]) -> list[Sold]:
    """What an earlier look saw of the accounts that nothing was done to since; the others are the answer."""
    old = {sold.directory for sold in fleet.accounts.values()}.difference(touched)
    seen.cgroups.update({path: before.cgroups[path] for path in tree.within(before.cgroups, old)})
    seen.members.update({path: before.members[path] for path in tree.within(before.members, old)})
    return [sold for sold in fleet.accounts.values() if sold.directory not in old]


def _look_at_accounts(
    cgroups: CgroupTree, inner: tuple[str, ...], leaves: tuple[str, ...], accounts: Iterable[Sold]
) -> tuple[dict[str, Knobs], dict[str, tuple[int, ...]]]:
    seen = _Seen(cgroups)
    ends: dict[int, list[str]] = {}  # by identity: who bought a plan as it is shares its services
    for sold in accounts:
        path, services = tree.account(sold.directory), sold.services
        if seen.look(path, inner):
            below = ends.get(id(services))
            if below is None:
                below = ends[id(services)] = [f"/{it.name}" for it in catalogue.leaves(services)]
            for end in below:
                seen.look(path + end, leaves)
    return seen.cgroups, seen.members


def _names(cgroups: CgroupTree, like: str = tree.USERS) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to read of inner cgroups and of leaves: the knobs of ours that this kernel offers, and who is there."""
    offered = cgroups.files(like) if cgroups.exists(like) else DEFAULTS.keys()
    both = tuple(knob for knob in DEFAULTS if knob in offered)
    return (SUBTREE_CONTROL, *both), (*both, PROCS)


def _strangers(cgroups: CgroupTree, known: Collection[str], missing: int) -> list[str]:
    """The cgroups below users/ that are not known, when the kernel counts so many more: those of accounts that no
    spec names, above all. A listing reads some sixty names, so only what has other children than known is listed."""
    children = Counter(map(tree.parent, known))
    found: list[str] = []
    for path in (tree.USERS, *filter(tree.directory_of, known)):
        if cgroups.subdirectories(path) != children[path]:
            found += _below(cgroups, path, known)
        if len(found) >= missing:
            break
    return found


def _below(cgroups: CgroupTree, path: str, known: Collection[str]) -> Iterator[str]:
    for name in cgroups.children(path):
        if (child := f"{path}/{name}") not in known:
            yield child
            yield from _below(cgroups, child, known)


@cache
def _ours(control: str) -> str:
    """Enabled controllers, less what is not ours to judge: others that somebody enabled."""
    enabled = control.split()
    return " ".join(name for name in CONTROLLERS if name in enabled)


def _processes(
    cgroups: CgroupTree, places: Places, members: dict[str, tuple[int, ...]], uids: Iterable[tuple[int, int]]
) -> Iterator[Process]:
    leaf_of = {pid: path for path, pids in members.items() for pid in pids}
    for pid, uid in uids:
        if not places.governs(uid):
            continue
        path = leaf_of.get(pid)
        sold = places.account_of(uid)
        if path is None or (sold is not None and places.rules_ask(sold)):
            process = closely(cgroups, pid, path)
            if process is not None:
                yield process
        else:
            yield Process(pid, uid, path)


def closely(cgroups: CgroupTree, pid: int, path: str | None = None) -> Process | None:
    """A process with all that placing it may depend on but its command line, None when it has ended; `path` is its
    cgroup if it is known. What is read here waits for nothing that the process can hold."""
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
        settled=identity.settled,
    )


def with_commands(places: Places, processes: tuple[Process, ...], commands: CommandReader) -> tuple[Process, ...]:
    """With the command lines where a rule asks for them: None where they could not be read in time."""
    asked: dict[str, list[Asked]] = {}
    for process in processes:
        # only what was looked at closely has a start
        if process.start and (sold := places.account_of(process.uid)) and places.commands_ask(sold):
            asked.setdefault(sold.name, []).append(Asked(process.pid, process.start))
    if not asked:
        return processes
    found = commands.read(asked)
    return tuple(it._replace(command=found.get(Asked(it.pid, it.start), "")) for it in processes)
