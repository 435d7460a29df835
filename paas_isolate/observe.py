"""Kernel -> ObservedWorld: every cgroup of the tree with its knobs, and every process of a customer's uid."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, partial
from typing import TypeVar

from paas_isolate.changes import knob_compiler
from paas_isolate.changes.placement import Placement
from paas_isolate.changes.quotas import desired_quotas
from paas_isolate.errors import PaasError, Trouble, trouble, without_broken
from paas_isolate.linux.cgroup.tree import PROCS, CgroupTree
from paas_isolate.linux.kernel import Kernel
from paas_isolate.linux.pam import refused_logins
from paas_isolate.linux.process import fork, procfs
from paas_isolate.linux.process.commands import CommandKey, CommandReader
from paas_isolate.linux.services.steps import runs
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.bandwidth import Bandwidth, BandwidthPort
from paas_isolate.model.identity import IdentityCache
from paas_isolate.model.knobs import CONTROLLERS, DEFAULTS, SUBTREE_CONTROL
from paas_isolate.model.network import Network
from paas_isolate.model.quota import QuotaPort, Quotas
from paas_isolate.model.view import Views
from paas_isolate.model.world import Knobs, ObservedWorld, Process

Broken = dict[str, Trouble]
Part = TypeVar("Part")
DOORS, NETWORK, VIEWS, BANDWIDTH = "the doors", "the network", "the views", "the bandwidth"
"""Parts that are observed for all accounts at once; no account directory has such a name."""

WORTH_A_PROCESS = 100
"""Accounts: a fork(2) and sending the result back cost as much as observing about ten."""


def observe(
    kernel: Kernel,
    fleet: Fleet,
    *,
    since: tuple[ObservedWorld, Collection[str]] | None = None,
    broken: Broken | None = None,
) -> ObservedWorld:
    """Look at everything once.

    `since` is an earlier look of the same run with the account directories that were worked on after it: of the
    other accounts its cgroups are taken over. `broken` receives unexpected exceptions, by account directory
    (or DOORS, NETWORK, VIEWS, BANDWIDTH): what is seen of that is not whole.
    """
    cgroups = kernel.cgroups
    broken = {} if broken is None else broken
    seen = _Observation(cgroups, broken)
    if not _observe_all(seen, fleet, kernel.weight_cgroup, since) and since:
        seen = _Observation(cgroups, broken)  # a cgroup of the earlier look has gone
        _observe_all(seen, fleet, kernel.weight_cgroup, None)
    places = Placement(fleet)
    processes = tuple(_processes(cgroups, places, seen.members, procfs.effective_uids(), broken))
    network = _part(kernel.network.observe, Network(), NETWORK, broken) if kernel.network else Network()
    return ObservedWorld(
        seen.cgroups,
        with_commands(places, processes, kernel.commands or CommandReader()),
        seen.members,
        doors=_part(kernel.doors.observe, {}, DOORS, broken) if kernel.doors else {},
        network=network,
        runs=runs(cgroups, kernel.records, seen.members, broken=broken) if kernel.records else {},
        views=_part(kernel.namespaces.observe, Views(), VIEWS, broken) if kernel.namespaces else Views(),
        quotas=_quotas(kernel.quotas, desired_quotas(fleet), broken) if kernel.quotas else Quotas(),
        bandwidth=_bandwidth(kernel.bandwidth, network, broken) if kernel.bandwidth else Bandwidth(),
    )


def _bandwidth(port: BandwidthPort, network: Network, broken: Broken) -> Bandwidth:
    """/etc/subuid, which may have a line for each customer, is read again only where the network has none of it."""
    return _part(lambda: port.observe(network.subordinates or None), Bandwidth(), BANDWIDTH, broken)


def _part(look: Callable[[], Part], nothing: Part, name: str, broken: Broken) -> Part:
    """A part that is observed for all accounts at once; `nothing` where that raises an unexpected exception."""
    try:
        return look()
    except PaasError:
        raise
    except Exception as error:  # noqa: BLE001  (the rest of the machine is still reconciled)
        broken[name] = trouble(error)
        return nothing


def _quotas(port: QuotaPort, quotas: Quotas, broken: Broken) -> Quotas:
    seen, wrong = without_broken(lambda uids: port.observe({uid: quotas.sold[uid] for uid in uids}), tuple(quotas.sold))
    for uid, error in wrong.items():
        broken.setdefault(quotas.sold[uid].directory, error)
    return seen


def observe_account(kernel: Kernel, account: Account, places: Placement, uids: Collection[int] = ()) -> ObservedWorld:
    """Look at the cgroups of one account and the processes there, and at those of `uids` wherever they are."""
    cgroups = kernel.cgroups
    seen = _Observation(cgroups, {})
    inner, leaves = _names(cgroups)
    _observe_account(seen, inner, leaves, account, IdentityCache())
    path = tree.account(account.directory)
    if cgroups.subdirectories(path) != len(seen.cgroups) - 1:
        for other in _below(cgroups, path, seen.cgroups.copy()):
            seen.observe(other, leaves)
    there = [(pid, uid) for pids in seen.members.values() for pid in pids if (uid := procfs.effective_uid(pid))]
    around = {*there, *(pair for pair in procfs.effective_uids() if pair[1] in uids)} if uids else there
    ran = runs(cgroups, kernel.records, seen.members, seen.cgroups) if kernel.records else {}
    processes = tuple(_processes(cgroups, places, seen.members, around))
    return ObservedWorld(
        seen.cgroups, with_commands(places, processes, kernel.commands or CommandReader()), seen.members, runs=ran
    )


class _Observation:
    """The cgroups that were looked at so far, with their knobs and pids; and what raised an exception."""

    def __init__(self, cgroup_tree: CgroupTree, broken: Broken) -> None:
        self.tree, self.broken = cgroup_tree, broken
        self.cgroups: dict[str, Knobs] = {}
        self.members: dict[str, tuple[int, ...]] = {}

    def observe(self, path: str, names: tuple[str, ...]) -> bool:
        """Look at one cgroup and keep what it has; whether it exists."""
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


def _observe_all(
    seen: _Observation, fleet: Fleet, weight_cgroup: str, since: tuple[ObservedWorld, Collection[str]] | None
) -> bool:
    """Look at all cgroups; whether they are as many as the kernel counts."""
    inner, leaves = _names(seen.tree)
    seen.observe(tree.ROOT, (SUBTREE_CONTROL, "cpu.weight") if weight_cgroup == tree.ROOT else (SUBTREE_CONTROL,))
    if weight_cgroup != tree.ROOT:
        seen.observe(weight_cgroup, ("cpu.weight",))
    seen.observe(tree.USERS, inner)
    seen.observe(tree.PENALTY, leaves)
    above, below = len(seen.cgroups), seen.tree.descendants(tree.USERS)
    accounts = _take_over(seen, fleet, *since) if since else list(fleet.accounts.values())
    if below:
        count = fork.worker_count(len(accounts), least=WORTH_A_PROCESS)
        look = partial(_observe_accounts, seen.tree, inner, leaves)
        for cgroups, members, broken in fork.map_forked(look, fork.parts(accounts, count)):
            seen.cgroups.update(cgroups)
            seen.members.update(members)
            seen.broken.update({directory: Trouble(*fields) for directory, fields in broken.items()})
    missing = below - (len(seen.cgroups) - above)
    for path in _unknown_cgroups(seen.tree, seen.cgroups, missing) if missing else ():
        try:
            seen.observe(path, inner if tree.is_account(path) else leaves)
        except Exception as error:  # noqa: BLE001  (what is in one cgroup costs its account alone)
            seen.broken.setdefault(tree.directory_of(path), trouble(error))
    return below == len(seen.cgroups) - above


def _take_over(seen: _Observation, fleet: Fleet, before: ObservedWorld, touched: Collection[str]) -> list[Account]:
    """Keep what an earlier look saw of accounts that nothing was done to since. Returns the other accounts."""
    old = {account.directory for account in fleet.accounts.values()}.difference(touched)
    seen.cgroups.update({path: before.cgroups[path] for path in tree.within(before.cgroups, old)})
    seen.members.update({path: before.members[path] for path in tree.within(before.members, old)})
    return [account for account in fleet.accounts.values() if account.directory not in old]


def _observe_accounts(
    cgroups: CgroupTree, inner: tuple[str, ...], leaves: tuple[str, ...], accounts: Iterable[Account]
) -> tuple[dict[str, Knobs], dict[str, tuple[int, ...]], dict[str, tuple[str, str, str]]]:
    """The cgroups, pids and exceptions of these accounts, as marshal can write them."""
    seen = _Observation(cgroups, {})
    ends = IdentityCache[list[str]]()
    for account in accounts:
        try:
            _observe_account(seen, inner, leaves, account, ends)
        except Exception as error:  # noqa: BLE001  (what is in one account's cgroups costs that account alone)
            seen.broken[account.directory] = trouble(error)
    return seen.cgroups, seen.members, {directory: (*error,) for directory, error in seen.broken.items()}


def _observe_account(
    seen: _Observation,
    inner: tuple[str, ...],
    leaves: tuple[str, ...],
    account: Account,
    ends: IdentityCache[list[str]],
) -> None:
    path, services = tree.account(account.directory), account.services
    if seen.observe(path, inner):
        below = ends.get(services)
        if below is None:
            below = ends.set([f"/{leaf.name}" for leaf in knob_compiler.leaves(services)], services)
        for end in below:
            seen.observe(path + end, leaves)


def _names(cgroups: CgroupTree) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The files to read in inner cgroups and in leaves: the knobs that this kernel offers; in leaves, the pids too."""
    # penalty/ has the same files as users/, without thousands of children in the listing
    like = next(filter(cgroups.exists, (tree.PENALTY, tree.USERS)), None)
    offered = DEFAULTS.keys() if like is None else cgroups.files(like)
    both = tuple(knob for knob in DEFAULTS if knob in offered)
    return (SUBTREE_CONTROL, *both), (*both, PROCS)


def _unknown_cgroups(cgroups: CgroupTree, known: Collection[str], missing: int) -> list[str]:
    """The `missing` cgroups below users/ that are not `known`: most are of accounts that no file names. Listing a
    cgroup reads some sixty names, so only those are listed whose number of children differs."""
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
    """The enabled controllers that paas_isolate uses; others that somebody enabled are left alone."""
    enabled = control.split()
    return " ".join(name for name in CONTROLLERS if name in enabled)


def _processes(
    cgroups: CgroupTree,
    places: Placement,
    members: dict[str, tuple[int, ...]],
    uids: Iterable[tuple[int, int]],
    broken: Broken | None = None,
) -> Iterator[Process]:
    """The processes of governed uids. An unexpected exception is added to `broken`, or raised where that is None."""
    leaf_of = {pid: path for path, pids in members.items() for pid in pids}
    for pid, uid in uids:
        if not places.governs(uid):
            continue
        path = leaf_of.get(pid)
        account = places.account_of(uid)
        if (
            path is None
            or account is None
            or tree.directory_of(path) != account.directory
            or places.needs_program(account)
        ):
            try:
                process = inspect_process(cgroups, places, pid, path)
            except Exception as error:
                if broken is None:
                    raise
                broken.setdefault(account.directory if account else "", trouble(error))
                continue
            if process is not None:
                yield process
        else:
            yield Process(pid, uid, path)


def inspect_process(cgroups: CgroupTree, places: Placement, pid: int, path: str | None = None) -> Process | None:
    """A process with all that its placement may depend on except its command line; None when it has ended. `path` is
    its cgroup where that is known. Nothing that is read here can be held up by the process itself."""
    identity = procfs.identity(pid)
    if identity is None or not identity.alive:
        return None
    known = path is not None and identity.thread == pid
    where = path if known else cgroups.path_of(procfs.cgroup(identity.thread) or "")
    if not where:
        return None
    program = procfs.program(identity.thread)
    return Process(
        pid=pid,
        uid=identity.uids[0],
        cgroup=where,
        start=identity.start,
        program=program,
        settled=identity.settled or all(map(places.governs, identity.uids)),
        others=() if identity.settled else tuple(sorted({*identity.uids} - {identity.uids[0]})),
        login=refused_logins.seconds(pid, identity) if program in refused_logins.SSHD else -1.0,
    )


def with_commands(places: Placement, processes: tuple[Process, ...], commands: CommandReader) -> tuple[Process, ...]:
    """The processes with their command lines, where a rule asks for these; None for one that was not read in time."""
    asked: dict[str, list[CommandKey]] = {}
    for process in processes:
        # only a process that was inspected has a start time
        if process.start and (account := places.account_of(process.uid)) and places.needs_command(account):
            asked.setdefault(account.name, []).append(CommandKey(process.pid, process.start))
    if not asked:
        return processes
    found = commands.read(asked)
    return tuple(it._replace(command=found.get(CommandKey(it.pid, it.start), "")) for it in processes)
