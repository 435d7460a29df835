"""The steps: each is data that can say itself in one sentence, and names whose it is."""

from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.network import Address, Gate, Rules
from paas_isolate.model.steps.namespace import MakeView, RemoveView, SetAging, SetQuota
from paas_isolate.model.steps.service import (
    ForgetRun,
    GiveUp,
    Kill,
    NotifyFailure,
    SaveResult,
    ScheduleJob,
    Start,
    Stop,
)
from paas_isolate.model.world import Process
from paas_isolate.spec.names import abbreviated


class CreateCgroup(NamedTuple):
    """mkdir of one cgroup. Named tuples are equal when what they hold is: `mode` tells it from a Remove."""

    path: str
    mode: int = 0o755

    def __str__(self) -> str:
        return f"create {self.path}"


class EnableControllers(NamedTuple):
    """Hand controllers down to the children of a cgroup."""

    path: str
    controllers: tuple[str, ...]

    def __str__(self) -> str:
        return f"enable {' '.join(self.controllers)} below {self.path or 'the tree'}"


class SetKnob(NamedTuple):
    """Write one knob. `was` is None where the cgroup does not exist yet."""

    path: str
    knob: str
    value: str
    was: str | None = None

    def __str__(self) -> str:
        was = f" (was {_shown(self.was)})" if self.was is not None else ""
        return f"set {self.knob} of {self.path or 'the tree'} to {_shown(self.value)}{was}"


class LowerMemory(NamedTuple):
    """Lower memory.max of a cgroup in which processes live: by reclaim first, never by killing.

    `high` is what memory.high is to be afterwards. Stays pending when the memory cannot be had.
    """

    path: str
    value: str
    was: str
    high: str

    def __str__(self) -> str:
        return f"lower memory.max of {self.path} to {self.value} (was {self.was})"


class MoveProcess(NamedTuple):
    """Put one process where it belongs; NOWHERE: end it, a login that was refused."""

    process: Process
    to: str

    def __str__(self) -> str:
        name = f" ({self.process.program})" if self.process.program else ""
        if self.to == tree.NOWHERE:
            return f"end process {self.process.pid}{name} in {self.process.cgroup}: its login was refused"
        return f"move process {self.process.pid}{name} from {self.process.cgroup} to {self.to}"


class EndRevoked(NamedTuple):
    """End what runs in a cgroup as a uid that is another account's now."""

    path: str
    uid: int

    def __str__(self) -> str:
        return f"end what runs in {self.path} as uid {self.uid}, which is another account's now"


class RemoveCgroup(NamedTuple):
    """rmdir of one empty cgroup."""

    path: str

    def __str__(self) -> str:
        return f"remove {self.path}"


class SetDoor(NamedTuple):
    """Let a uid's logins enter a leaf, or none. `was` is where they went before, None where there was no door."""

    name: str
    target: str
    was: str | None = None

    def __str__(self) -> str:
        if tree.is_closed(self.target):
            return f"close door {self.name}"
        if tree.is_view(self.target):
            return f"open door {self.name} to the view of {tree.account_of_door(self.target)}"
        was = f" (was {self.was})" if self.was else ""
        return f"open door {self.name} to {self.target}{was}"


class RemoveDoor(NamedTuple):
    """Take away the door of a uid that is no customer's any more. `was` is where it led."""

    name: str
    was: str

    def __str__(self) -> str:
        return f"remove door {self.name}"


class CompleteDoors(NamedTuple):
    """Say that all doors are there: who has none is no customer, and none of our business."""

    def __str__(self) -> str:
        return "say that all doors are there"


class AddAddress(NamedTuple):
    """Put a private address of an account where it can be bound and reached."""

    address: Address
    directory: str

    def __str__(self) -> str:
        return f"add the address {self.address} of {self.directory}"


class RemoveAddress(NamedTuple):
    """Take away an address that is nobody's any more."""

    address: Address

    def __str__(self) -> str:
        return f"remove the address {self.address}"


class SetRules(NamedTuple):
    """Make, change or remove the ruleset. `was` is None where there is none that could be changed by element."""

    rules: Rules | None
    was: Rules | None

    def __str__(self) -> str:
        if self.rules is None:
            return "remove the ruleset of the network"
        if self.was is None:
            return f"make the ruleset of the network, for {len(self.rules.owners)} addresses and uids"
        new, old = _pairs(self.rules.without(self.was)), _pairs(self.was.without(self.rules))
        told = [f"{verb} {abbreviated(sorted(pairs))}" for verb, pairs in (("add", new), ("remove", old)) if pairs]
        return f"change the ruleset of the network: {', '.join(told)}"


class SetGate(NamedTuple):
    """Lay, change or remove the gate. `was` is None where there is none that could be changed by element."""

    gate: Gate | None
    was: Gate | None

    def __hash__(self) -> int:
        return hash((self.gate is None, self.was is None))  # homes are a dict, and a run has few of these

    def __str__(self) -> str:
        if self.gate is None:
            return "remove the gate"
        if self.was is None:
            return f"lay the gate, for {len(self.gate.homes)} uids"
        new, old = _facts(self.gate), _facts(self.was)
        told = [
            f"{verb} {abbreviated(sorted(facts))}"
            for verb, facts in (("add", new - old), ("remove", old - new))
            if facts
        ]
        return f"change the gate: {', '.join(told)}"


class SetNames(NamedTuple):
    """Write our lines of hosts(5), or take them out."""

    names: tuple[str, ...]
    was: tuple[str, ...]

    def __str__(self) -> str:
        if not self.names:
            return "take the names of accounts out of /etc/hosts"
        new, old = set(self.names), set(self.was)
        told = [f"{verb} {abbreviated(sorted(it))}" for verb, it in (("add", new - old), ("remove", old - new)) if it]
        return f"change the names in /etc/hosts: {', '.join(told) or 'put them in order'}"


def _facts(gate: Gate) -> set[str]:
    homes = {f"{uid} at {home.v4}{' with shared loopback' * home.shared}" for uid, home in gate.homes.items()}
    peers = {f"{uid} to {address}" for uid, address in gate.peers}
    return homes | peers | {f"{uid} to all" for uid in gate.frontends}


def _pairs(rules: Rules) -> set[str]:
    grants = {f"{uid} at {address}" for uid, address in rules.owners}
    peers = {f"{uid} to {address}" for uid, address in rules.peers}
    ports = {f"port {it.port} to {it.address} port {it.to}" for it in rules.published}
    egress = {f"{it.uid} {', '.join(it.egress)}" for it in rules.egress}
    return grants | peers | ports | egress | {f"{uid} to all" for uid in rules.frontends}


Step = (
    CreateCgroup
    | EnableControllers
    | SetKnob
    | LowerMemory
    | MoveProcess
    | EndRevoked
    | RemoveCgroup
    | SetDoor
    | RemoveDoor
    | CompleteDoors
    | AddAddress
    | RemoveAddress
    | SetRules
    | SetGate
    | SetNames
    | Start
    | Stop
    | Kill
    | GiveUp
    | ScheduleJob
    | SaveResult
    | NotifyFailure
    | ForgetRun
    | MakeView
    | RemoveView
    | SetAging
    | SetQuota
)
Wire = AddAddress | RemoveAddress | SetRules | SetGate | SetNames
"""The steps in the network: many of them are carried out at once."""
Sight = MakeView | RemoveView | SetAging
"""The steps of views: many of them are carried out at once, too."""
Changes = tuple[Step, ...]


def owner(step: Step) -> str:
    """The account directory that a step is for; '' when all stand on it."""
    match step:
        case SetDoor(target=target) | RemoveDoor(was=target):
            return tree.account_of_door(target)
        case MoveProcess(to=path):
            return tree.directory_of(path)
        case AddAddress(directory=directory) | MakeView(directory=directory):
            return directory
        case RemoveView(directory=directory):
            return directory
        case SetQuota():
            return step.directory
        case SetAging() | CompleteDoors() | RemoveAddress() | SetRules() | SetGate() | SetNames():
            return ""
    return tree.directory_of(step.path)


def touched(changes: Changes) -> frozenset[str]:
    """The account directories in which steps change anything: a move does in two."""
    cgroups = (
        step for step in changes if not isinstance(step, SetDoor | RemoveDoor | CompleteDoors | Wire | Sight | SetQuota)
    )
    from_ = (tree.directory_of(step.process.cgroup) for step in changes if isinstance(step, MoveProcess))
    return frozenset({*map(owner, cgroups), *from_})


def _shown(text: str) -> str:
    return text.replace("\n", "; ") or "nothing"
