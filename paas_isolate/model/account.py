"""What was sold: accounts, plans, services, and the host they live on. As written, before any merging."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.errors import Complaint, Trouble
from paas_isolate.model.left import LEAVE
from paas_isolate.model.limits import NO_LIMITS, Limits
from paas_isolate.model.service_program import NO_WORK, ServiceProgram
from paas_isolate.model.view import HIDDEN, PrivateTmpConfig, View

LOGIN = "login"
OTHER = "other"

ANYWHERE = ("allow all",)
"""The egress that denies nothing; it takes the place of a plan's."""


class Match(NamedTuple):
    """Which of the account's processes belong to a service: globs, all that are given must fit."""

    program: str = ""
    command: str = ""
    user: str = ""

    @property
    def conditions(self) -> int:
        return bool(self.program) + bool(self.command) + bool(self.user)


class Service(NamedTuple):
    """One named part of an account: one leaf cgroup."""

    name: str
    limits: Limits = NO_LIMITS
    match: Match = Match()
    priority: int | None = None
    entry: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()
    """Keys that are part of the language but that this version does not enforce; they are reported."""
    listen: int = 0
    publish: int = 0
    """A port of the machine that leads to the port `listen` of the account's address, the same where that is 0."""
    work: ServiceProgram = NO_WORK
    """What paas-isolate runs here; nothing where it has no command."""


class Plan(NamedTuple):
    """What is sold: limits and services that an account inherits."""

    name: str
    file: str
    limits: Limits = NO_LIMITS
    services: tuple[Service, ...] = ()
    loopback: str = ""
    egress: tuple[str, ...] = ()
    private: Mapping[str, bool] = MappingProxyType({})
    hide: tuple[str, ...] = ()
    disk: Limits = NO_LIMITS
    reserved: tuple[str, ...] = ()
    allow: tuple[str, ...] | None = None
    """What the files of its accounts may ask for; None: what config.yaml allows."""


class AccountSpec(NamedTuple):
    """One customer, as the account's own file says it."""

    name: str
    file: str
    users: tuple[str, ...]
    owner: str
    plan: str | None = None
    limits: Limits = NO_LIMITS
    services: tuple[Service, ...] = ()
    suspended: bool = False
    renamed_from: str = ""
    address: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    loopback: str = ""
    egress: tuple[str, ...] = ()
    private: Mapping[str, bool] = MappingProxyType({})
    hide: tuple[str, ...] = ()
    disk: Limits = NO_LIMITS
    reserved: tuple[str, ...] = ()


class Tree(NamedTuple):
    """Where our subtree hangs: below a delegated unit, or at a cgroup directory that is ours."""

    unit: str = "paas-tree.service"
    root: str = ""


class NetworkConfig(NamedTuple):
    """config.yaml's `network:`: where addresses come from, who may connect to every customer, and whether the
    addresses have names. As written: who has no network need not know what an address is."""

    pool: str = "10.77.0.0/16"
    pool6: str = "fd77:7061:6173::/64"
    frontends: tuple[str, ...] = ("www-data",)
    names: bool = False


class Host(NamedTuple):
    """config.yaml: the machine."""

    tree: Tree = Tree()
    first_uid: int = 1000
    last_uid: int = 59999
    exempt: tuple[str, ...] = ("@sudo", "@wheel", "@admin")
    without_account: str = "leave"
    """`leave`, `penalty`, or the name of a plan as `plan NAME`."""
    leave: tuple[str, ...] = LEAVE
    """Globs of cgroups, below the mount point, of which no process is moved."""
    penalty: Limits = NO_LIMITS
    ceiling: Limits = NO_LIMITS
    """By limit name; memory.max and pids as Percent of the machine or absolute."""
    default_plan: str | None = None
    network: NetworkConfig | None = None
    """None: no private addresses, and nothing of ours in the network."""
    suspension: str = "freeze"
    """What becomes of the services of a suspended account: `freeze` or `stop`."""
    private: PrivateTmpConfig = PrivateTmpConfig()
    hide: tuple[str, ...] = HIDDEN
    """What no account with a view of its own sees."""
    allow: tuple[str, ...] = ("publish", "users")
    """What an account's file may ask for, beside what harms nobody else: publish, rlimits, hide, users."""
    publish_ports: tuple[tuple[int, int], ...] = ((1024, 65535),)
    """The ports of the machine that an account's file may publish, as first and last of each range."""


class Account(NamedTuple):
    """An account with its plan merged in: what one customer gets. `limits` and each service's are complete.

    `directory` is the name of its cgroup (an older name after `renamed_from`).
    `uids` maps the account's user names to their uids, as this machine resolves them. `peers` are the accounts that
    may connect to this one; `loopback` is `shared` where 127.0.0.1 is the machine's own, '' where it is the account's.
    `egress` says what may leave the machine, in sentences such as `allow dns`, `deny 10.0.0.0/8 port 25` and `deny all`
    of which the first that fits decides; what none fits passes.
    """

    name: str
    directory: str
    uids: Mapping[str, int]
    owner: str
    home: str
    plan: str | None
    limits: Limits
    services: tuple[Service, ...]
    suspended: bool = False
    addresses: tuple[str, ...] = ()
    """IPv4, then IPv6; () on a machine without `network:`."""
    peers: tuple[str, ...] = ()
    loopback: str = ""
    egress: tuple[str, ...] = ()
    view: View | None = None
    """None: the host's."""
    disk: Limits = NO_LIMITS
    """`max` in bytes and `files`, for each of its users."""
    reserved: tuple[str, ...] = ()


class User(NamedTuple):
    """A Unix login, as passwd(5) has it."""

    name: str
    uid: int
    gid: int
    home: str


class Fleet(NamedTuple):
    """Everything that is sold on this machine, and what was wrong with how it was written.

    `kept` names accounts whose files could not be used, with the reason: they stay as they are. One that has
    a last good copy is among `accounts` too (with that copy); one that has none is only not removed.
    `removal` is empty, or why no account may be removed in this run (accounts.d missing or unreadable).
    """

    host: Host
    accounts: Mapping[str, Account]
    exempt: frozenset[int] = frozenset()
    complaints: tuple[Complaint, ...] = ()
    on_last_good: Mapping[str, str] = MappingProxyType({})
    removal_blocked: str = ""
    frontends: frozenset[int] = frozenset()
    """Uids that may connect to every customer."""
    broken: Mapping[str, Trouble] = MappingProxyType({})
    """Accounts on which an error of our own was raised: they are `kept`, too."""
    left: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    """Accounts that are left as they are, with their uids: their processes and logins stay where they are."""
    renamed: Mapping[str, str] = MappingProxyType({})
    """Users of accounts whose names are gone, with the names that their uids have now: the same people."""
    doubtful: frozenset[int] = frozenset()
    """Uids that somebody has now who may be another person than the one whom they were sold to: nobody logs in."""
    revoked: Mapping[str, frozenset[int]] = MappingProxyType({})
    """By account directory: uids that another account has now. What runs there under them is to end."""

    def governs(self, uid: int) -> bool:
        """Whether its processes and logins are ours to place at all: in the range and not exempt."""
        if not self.host.first_uid <= uid <= self.host.last_uid or uid in self.exempt:
            return False
        return not self.left or not any(uid in uids for uids in self.left.values())

    def with_broken(self, broken: Mapping[str, Trouble]) -> "Fleet":
        """These accounts are kept as they are, for what was raised while they were worked on."""
        if not broken:
            return self
        kept = {name: f"an error of paas-isolate's own: {it.what}" for name, it in broken.items()}
        return self._replace(on_last_good={**self.on_last_good, **kept}, broken={**self.broken, **broken})

    def names_by_directory(self) -> dict[str, str]:
        """The account names, by the directory of the account's cgroup."""
        return {account.directory: account.name for account in self.accounts.values()}

    def restricted_to(self, names: Collection[str]) -> "Fleet":
        """The fleet in which the other accounts are left as they are: nothing is known of what they were sold."""
        if len(names) == len(self.accounts):
            return self
        wanted = frozenset(names)
        others = [account for name, account in self.accounts.items() if name not in wanted]
        return self._replace(
            accounts={name: self.accounts[name] for name in names},
            on_last_good={**self.on_last_good, **{account.directory: "it is left as it is" for account in others}},
            left={**self.left, **{account.name: tuple(account.uids.values()) for account in others}},
        )

    @staticmethod
    def _wired(account: Account) -> tuple[tuple[str, object], ...]:
        return ("loopback", account.loopback), ("peers", account.peers), ("egress", account.egress)

    def not_enforced(self) -> dict[str, list[str]]:
        """Keys that are part of the language and do nothing in this version, by where they stand."""
        found: dict[str, list[str]] = {}
        for account in self.accounts.values():
            wired = bool(self.host.network)
            keys = [
                *account.reserved,
                *(key for key, value in self._wired(account) if value and not wired),
                *(f"{each.name}.publish" for each in account.services if each.publish and not wired),
                *(f"{each.name}.listen" for each in account.services if _idle(each)),
                *(f"{each.name}.{key}" for each in account.services for key in each.reserved),
            ]
            if keys:
                found[account.name] = keys
        return found


def _idle(service: Service) -> bool:
    """Whether its `listen` leads nowhere and is told to nobody."""
    return bool(service.listen) and not service.publish and not service.work.run
