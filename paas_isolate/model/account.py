"""Accounts, plans, services and the host: as written in YAML (AccountSpec, Plan, Host), and merged (Account, Fleet)."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.errors import Complaint, Trouble
from paas_isolate.model.left import LEAVE
from paas_isolate.model.limits import NO_LIMITS, Limits
from paas_isolate.model.metering import MeteringConfig
from paas_isolate.model.service_program import NO_WORK, ServiceProgram
from paas_isolate.model.view import HIDDEN, PrivateTmpConfig, View

LOGIN = "login"
OTHER = "other"

ANYWHERE = ("allow all",)
"""The egress that denies nothing. In an account's file it replaces the egress of the plan."""


class Match(NamedTuple):
    """Which of the account's processes belong to a service: globs, '' where none is set. All that are set must match;
    with none set, no process is moved to the service."""

    program: str = ""
    command: str = ""
    user: str = ""

    @property
    def conditions(self) -> int:
        """How many globs are set."""
        return bool(self.program) + bool(self.command) + bool(self.user)


class Service(NamedTuple):
    """One named part of an account: one leaf cgroup."""

    name: str
    limits: Limits = NO_LIMITS
    match: Match = Match()
    priority: int | None = None
    entry: tuple[str, ...] = ()
    listen: int = 0
    """The port on which the service listens; 0: none."""
    publish: int = 0
    """A port of the machine. It leads to the port `listen` of the account's address, or to the same number where
    `listen` is 0. 0: none."""
    work: ServiceProgram = NO_WORK
    """The program that paas-isolate runs here. Without a command it runs none."""


class Plan(NamedTuple):
    """A plan as written: limits and services that an account inherits."""

    name: str
    file: str
    limits: Limits = NO_LIMITS
    services: tuple[Service, ...] = ()
    loopback: str = ""
    egress: tuple[str, ...] = ()
    private: Mapping[str, bool] = MappingProxyType({})
    hide: tuple[str, ...] = ()
    disk: Limits = NO_LIMITS
    allow: tuple[str, ...] | None = None
    """The keys that the files of its accounts may use (see Host.allow). None: as config.yaml says."""
    next: str = ""
    """The plan above it, which customers are shown beside theirs; '': none."""


class AccountSpec(NamedTuple):
    """One customer as written in the account's own file, before the plan is merged in."""

    name: str
    file: str
    users: tuple[str, ...]
    owner: str
    plan: str | None = None
    labels: Mapping[str, str] = MappingProxyType({})
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
    mail: str = ""
    on_high: str = ""


class Tree(NamedTuple):
    """Where the tree is: below a systemd unit with Delegate=, or, where `root` is set, at that cgroup directory."""

    unit: str = "paas-tree.service"
    root: str = ""


class NetworkConfig(NamedTuple):
    """config.yaml's `network:`: the pools of addresses, the users that may connect to every customer, and whether the
    addresses have names. The pools are text here, so that a machine without a network imports no parser for them."""

    pool: str = "10.77.0.0/16"
    pool6: str = "fd77:7061:6173::/64"
    frontends: tuple[str, ...] = ("www-data",)
    names: bool = False


class Host(NamedTuple):
    """config.yaml: the settings of the machine."""

    tree: Tree = Tree()
    first_uid: int = 1000
    last_uid: int = 59999
    exempt: tuple[str, ...] = ("@sudo", "@wheel", "@admin")
    without_account: str = "leave"
    """`leave`, `penalty`, or the name of a plan as `plan NAME`."""
    leave: tuple[str, ...] = LEAVE
    """Globs of cgroups, relative to the mount point. No process is moved out of them."""
    penalty: Limits = NO_LIMITS
    ceiling: Limits = NO_LIMITS
    """The limits of all customers together. memory.max and pids may be a Percent of the machine."""
    default_plan: str | None = None
    network: NetworkConfig | None = None
    """None: no private addresses, no ruleset, no gate."""
    suspension: str = "freeze"
    """What happens to the services of a suspended account: `freeze` or `stop`."""
    private: PrivateTmpConfig = PrivateTmpConfig()
    hide: tuple[str, ...] = HIDDEN
    """Paths that are hidden in every account's view."""
    allow: tuple[str, ...] = ("publish", "users")
    """Which of the keys that can affect others an account's file may use: publish, rlimits, hide, users."""
    publish_ports: tuple[tuple[int, int], ...] = ((1024, 65535),)
    """The ports of the machine that an account's file may publish: first and last port of each range."""
    administrators: tuple[str, ...] = ()
    """Users and @groups that may do through the daemon what root may."""
    web_root: bool = False
    """Whether root may log in to the page with a password."""
    metering: MeteringConfig | None = None
    """None: nothing is measured."""


class Account(NamedTuple):
    """An account with its plan merged in: what one customer gets. `limits` and the limits of its services are merged.

    `directory` is the name of its cgroup: the account's name, or an older one after `renamed_from`.
    `uids` maps the account's user names to their uids on this machine. `peers` are the accounts that may connect to
    this one. `loopback` is `shared` where 127.0.0.1 is the machine's, '' where it is the account's own address.
    `egress` says which packets may leave the machine, in sentences such as `allow dns`, `deny 10.0.0.0/8 port 25` and
    `deny all`. The first sentence that matches decides; a packet that none matches may leave. `limit smtp 100/h`, the
    last, says how many new connections of those allowed each user may make.
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
    """None: the account sees the host's mount namespace."""
    disk: Limits = NO_LIMITS
    """`max` in bytes and `files`, for each of its users."""
    mail: str = ""
    """Where notices to the customer go; '': the owner's mailbox."""
    on_high: str = ""
    """A command of the customer's for when memory.high is reached; '': none."""
    labels: Mapping[str, str] = MappingProxyType({})
    """What it is grouped by in `usage` and `bill`; nothing else depends on them."""


class User(NamedTuple):
    """A Unix login, as passwd(5) has it."""

    name: str
    uid: int
    gid: int
    home: str


class Fleet(NamedTuple):
    """All accounts of this machine, and what was wrong with their files.

    `on_last_good` are the accounts that stay as they are, with the reason: mostly a file that cannot be
    used. With a last good copy the account is in `accounts` too, as that copy says; without one it is only not removed.
    `removal_blocked` is '', or why this pass may remove no account (accounts.d is missing or cannot be read).
    """

    host: Host
    accounts: Mapping[str, Account]
    exempt: frozenset[int] = frozenset()
    complaints: tuple[Complaint, ...] = ()
    on_last_good: Mapping[str, str] = MappingProxyType({})
    removal_blocked: str = ""
    frontends: frozenset[int] = frozenset()
    """Uids that may connect to every customer."""
    administrators: frozenset[int] = frozenset()
    """Uids, beside root, that may do through the daemon what root may. No customer's uid is among them."""
    broken: Mapping[str, Trouble] = MappingProxyType({})
    """Accounts for which paas-isolate itself raised an unexpected exception. They are in `on_last_good` too."""
    left: Mapping[str, tuple[int, ...]] = MappingProxyType({})
    """Accounts that this pass does not touch, with their uids: their processes and doors stay where they are."""
    renamed: Mapping[str, str] = MappingProxyType({})
    """Users of accounts that were renamed in passwd(5): the old name, with the name that the same uid has now."""
    doubtful: frozenset[int] = frozenset()
    """Uids that may belong to another person than the account's customer now. Logins with them are refused."""
    revoked: Mapping[str, frozenset[int]] = MappingProxyType({})
    """By account directory: uids that another account has now. Their processes in that directory are ended."""

    def governs(self, uid: int) -> bool:
        """Whether paas-isolate places the processes and logins of this uid: it is in the range, not exempt, not
        `left`."""
        if not self.host.first_uid <= uid <= self.host.last_uid or uid in self.exempt:
            return False
        return not self.left or not any(uid in uids for uids in self.left.values())

    def with_broken(self, broken: Mapping[str, Trouble]) -> "Fleet":
        """The fleet in which these accounts stay as they are, because of the exception that each of them caused."""
        if not broken:
            return self
        kept = {name: f"an error of paas-isolate's own: {trouble.what}" for name, trouble in broken.items()}
        return self._replace(on_last_good={**self.on_last_good, **kept}, broken={**self.broken, **broken})

    def names_by_directory(self) -> dict[str, str]:
        """Account names by account directory."""
        return {account.directory: account.name for account in self.accounts.values()}

    def restricted_to(self, names: Collection[str]) -> "Fleet":
        """The fleet with these accounts only. The others are `left`: a pass does not touch them."""
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
    def _network_keys(account: Account) -> tuple[tuple[str, object], ...]:
        return ("loopback", account.loopback), ("peers", account.peers), ("egress", account.egress)

    def not_enforced(self) -> dict[str, list[str]]:
        """Keys that have no effect on this machine, by account name: those that this version does not enforce, those of
        the network without `network:`, and a `listen` that nothing uses."""
        unused: dict[str, list[str]] = {}
        for account in self.accounts.values():
            has_network = bool(self.host.network)
            keys = [
                *(key for key, value in self._network_keys(account) if value and not has_network),
                *(f"{each.name}.publish" for each in account.services if each.publish and not has_network),
                *(f"{each.name}.listen" for each in account.services if _listen_unused(each)),
            ]
            if keys:
                unused[account.name] = keys
        return unused


def _listen_unused(service: Service) -> bool:
    """Whether no port is published to its `listen`, and no program gets it as $PORT."""
    return bool(service.listen) and not service.publish and not service.work.run
