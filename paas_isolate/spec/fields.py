"""The one table of keys: every document and every part of it, with shape, meaning and default.

Parser, schema and "did you mean" walk it; a new key is one line here (a limit: one in model/limits.py).
"""

from typing import Any

from paas_isolate.model.account import LOGIN, OTHER, Host, NetworkConfig, Tree
from paas_isolate.model.limits import Value
from paas_isolate.model.service_program import DEFAULT, LOG_KEEP, LOG_MAX
from paas_isolate.model.view import HIDDEN, PrivateTmpConfig
from paas_isolate.spec import scalars
from paas_isolate.spec.allow import WORDS
from paas_isolate.spec.diagnostics import Diagnostics, below
from paas_isolate.spec.egress import EgressShape
from paas_isolate.spec.limits import LimitsShape
from paas_isolate.spec.names import NAME_EXPECTED, is_name
from paas_isolate.spec.process_settings import EnvironmentShape, RlimitsShape
from paas_isolate.spec.read import Items, Node, Pairs
from paas_isolate.spec.shapes import AnyShape, Field, ListOf, MapOf, OneOrList, Schema, Table
from paas_isolate.text import printable
from paas_isolate.units import format_duration, format_size

_HOST = Host()
_SELF = LimitsShape().percent

PENALTY = {"cpu": {"max": "10%"}, "memory": {"max": "256M"}, "pids": 50}
CEILING = {"memory": "75%", "pids": "80%", "cpu_weight": 50}

TREE = Table(
    (
        Field("unit", scalars.UNIT, "the systemd unit that our subtree is delegated to", Tree().unit),
        Field("root", scalars.ROOT, "where there is no systemd: a cgroup v2 directory that is ours"),
    )
)

USERS = Table(
    (
        Field("first_uid", scalars.whole(1, 2**32 - 2, "1000"), "nobody below is ever touched", _HOST.first_uid),
        Field("last_uid", scalars.whole(1, 2**32 - 2, "59999"), "nobody above is ever touched", _HOST.last_uid),
        Field(
            "exempt",
            ListOf(scalars.EXEMPT, "a list of users and @groups"),
            "users and @groups that are never confined, whatever an account says",
            list(_HOST.exempt),
        ),
        Field(
            "without_account",
            scalars.WITHOUT_ACCOUNT,
            "what happens to a uid of the range that no account names: leave | penalty | plan NAME",
            _HOST.without_account,
        ),
        Field(
            "leave",
            ListOf(scalars.CGROUPS, "a list of cgroups"),
            "cgroups in which root runs what is not to be moved (containers), as globs",
            list(_HOST.leave),
        ),
    )
)


class CeilingShape:
    """Limits of all customers together; `cpu_weight` is told flat, for it is the only one of cpu here."""

    _flat = LimitsShape(percent=frozenset({"memory.max", "pids"}))
    _table = Table(
        (
            Field("memory", AnyShape(), "memory of all customers, in bytes or percent of the machine's", "75%"),
            Field("pids", AnyShape(), "processes of all customers, or percent of the machine's", "80%"),
            Field("cpu_weight", AnyShape(), "share of all customers when the machine is busy", 50),
        )
    )

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any:
        self._table.read(node, key, diagnostics)
        pairs = node.pairs.items() if isinstance(node, Pairs) else ()
        limits: dict[str, Value] = {}
        for name, (_, value) in pairs:
            if full := {"memory": "memory.max", "pids": "pids", "cpu_weight": "cpu.weight"}.get(name):
                limits.update(self._flat.read_limit(value, full, below(key, name), diagnostics))
        return limits

    def schema(self) -> Schema:
        schema = self._table.schema()
        for name, full in (("memory", "memory.max"), ("pids", "pids"), ("cpu_weight", "cpu.weight")):
            told = schema["properties"][name]
            schema["properties"][name] = {**self._flat.limit_schema(full), **told}
        return schema


NETWORK = Table(
    (
        Field("pool", scalars.POOL, "private addresses: pool + 1 + (uid - first_uid)", NetworkConfig().pool),
        Field("pool6", scalars.POOL6, "private IPv6 addresses, by the same arithmetic", NetworkConfig().pool6),
        Field(
            "frontends",
            ListOf(scalars.USER, "a list of users"),
            "users that may connect to every customer (the web server)",
            list(NetworkConfig().frontends),
        ),
        Field(
            "names",
            scalars.FLAG,
            "whether ACCOUNT.paas.internal and SERVICE.ACCOUNT.paas.internal stand in /etc/hosts",
            NetworkConfig().names,
        ),
    )
)

UPKEEP = Table(
    (
        Field(
            "tmp",
            scalars.ROOT,
            "the directory below which each account's own /tmp and /var/tmp lie",
            PrivateTmpConfig().tmp,
        ),
        Field(
            "age",
            scalars.DURATION,
            "how long a file stays there that nobody uses",
            format_duration(PrivateTmpConfig().age),
        ),
    )
)

_ALLOW = ListOf(scalars.choice(*WORDS), f"a list of {', '.join(WORDS)}")

HOST = Table(
    (
        Field("tree", TREE, "where our subtree hangs"),
        Field("users", USERS, "who may be confined"),
        Field("penalty", LimitsShape(_SELF), "limits of a login that cannot be placed", PENALTY),
        Field("ceiling", CeilingShape(), "limits of all customers together", CEILING),
        Field("network", NETWORK, "private addresses; without this key there is nothing of ours in the network"),
        Field(
            "suspension",
            scalars.choice("freeze", "stop"),
            "what becomes of the services of a suspended account; everything else of it is frozen",
            _HOST.suspension,
        ),
        Field("private", UPKEEP, "how what accounts have for themselves is kept"),
        Field(
            "hide",
            ListOf(scalars.ROOT, "a list of paths"),
            "what accounts with `private` or `hide` do not see at all",
            list(HIDDEN),
        ),
        Field("allow", _ALLOW, "what an account's file may ask for that can reach others", list(_HOST.allow)),
        Field(
            "publish_ports",
            OneOrList(scalars.PORTS, "a list of ports and ranges such as 8000-8999"),
            "the ports of the machine that an account's file may publish; a plan may publish any",
            "1024-65535",
        ),
        Field("default_plan", scalars.NAME, "the plan of an account that names none (default: no plan)"),
    )
)

MATCH = Table(
    (
        Field("program", scalars.GLOB, "base name of /proc/PID/exe, a glob"),
        Field("command", scalars.GLOB, "the command line, a glob"),
        Field("user", scalars.GLOB, "the user, a glob"),
    ),
    expected="a mapping such as {program: apache2}",
)

LOG = Table(
    (
        Field("max", scalars.LOG_SIZE, "its size before it is put aside", format_size(LOG_MAX)),
        Field("keep", scalars.whole(0, 100, "3"), "how many older ones stay", LOG_KEEP),
    )
)

FAILURE = Table(
    (
        Field("mail", scalars.MAIL, "an address that the end of its output is sent to"),
        Field("run", scalars.LINE, "a command, run as the owner in its leaf"),
    )
)

HEALTH = Table(
    (
        Field("run", scalars.LINE, "a command that succeeds while the service is well"),
        Field("every", scalars.EVERY, "how often it is run", "30s"),
        Field("failures", scalars.whole(1, 1000, "3"), "after how many failures in a row to act", 3),
    )
)

SERVICE_LIMITS = Field("limits", LimitsShape(_SELF | {"memory.max"}), "for this leaf, inside the account's")
OURS = Table((SERVICE_LIMITS,))
"""`login` and `other` are there without being asked for, and may only be given limits."""

SERVICE = Table(
    (
        Field("match", MATCH, "which of the account's processes belong here; all that are given must fit"),
        Field("priority", scalars.whole(-1000, 1000, "10"), "when several services fit, the highest wins", 0),
        SERVICE_LIMITS,
        Field(
            "entry",
            ListOf(scalars.PAM_SERVICE, "a list of PAM services such as [cron, atd]"),
            "PAM services whose sessions come here (once logins pass the module: paas-isolate pam install)",
        ),
        Field("run", scalars.LINE, "the command to start and keep alive, a line for sh; runs as the owner"),
        Field("directory", scalars.PATH, "where it runs", DEFAULT.directory),
        Field("environment", EnvironmentShape(), "its environment"),
        Field("environment_file", scalars.PATH, "a file with more of it, NAME=VALUE lines, read as the owner"),
        Field("restart", scalars.choice("always", "on-failure", "never"), "when it has ended", DEFAULT.restart),
        Field("stop_timeout", scalars.DURATION, "from asking it to end to killing it", "10s"),
        Field("health", HEALTH, "how to see whether it is well; it is restarted when not"),
        Field("listen", scalars.PORT, "its port on the account's own address; where `publish` leads"),
        Field("publish", scalars.PORT, "a port of the machine that leads there, by TCP and UDP"),
        Field("schedule", scalars.SCHEDULE, "when it runs, as in crontab; it is a job then, never two at once"),
        Field(
            "replicas", scalars.whole(1, 100, "3"), "how many of it run, each in a leaf of its own", DEFAULT.replicas
        ),
        Field("umask", scalars.UMASK, "its umask", DEFAULT.umask),
        Field("rlimits", RlimitsShape(), "its resource limits, by name as in prlimit(1)"),
        Field("no_new_privs", scalars.FLAG, "set-uid programs give it nothing", DEFAULT.no_new_privs),
        Field("log", LOG, "its log, ~/logs/SERVICE.log"),
        Field("on_failure", FAILURE, "who hears of a job that failed"),
    )
)

WORK = (
    "run",
    "directory",
    "environment",
    "environment_file",
    "restart",
    "stop_timeout",
    "health",
    "schedule",
    "replicas",
    "umask",
    "rlimits",
    "no_new_privs",
    "log",
    "on_failure",
)
"""The keys of a service that tell how it is run."""


class AddressShape:
    """One address, or a list with one of each family."""

    _list = ListOf(scalars.ADDRESS, "a list of addresses")

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> tuple[str, ...]:
        if not isinstance(node, Items):
            return (scalars.ADDRESS.read(node, key, diagnostics),)
        found: tuple[str, ...] = self._list.read(node, key, diagnostics)
        if not found or len({":" in (each or "") for each in found}) < len(found):
            diagnostics.error_value(node, key, "an address, or a list of one IPv4 and one IPv6 address")
        return found

    def schema(self) -> Schema:
        return {"anyOf": [scalars.ADDRESS.schema(), self._list.schema()]}


class ServicesShape:
    """Services by name."""

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> dict[str, dict[str, Any]]:
        services = {}
        for name, value in MapOf(_Raw(), "a mapping of services").read(node, key, diagnostics).items():
            path = below(key, printable(name))
            if not is_name(name):
                diagnostics.error(value, path, f"is no name for a service; expected {NAME_EXPECTED}")
            services[name] = self.table(name).read(value, path, diagnostics)
        return services

    def table(self, name: str) -> Table:
        return OURS if name in (LOGIN, OTHER) else SERVICE

    def schema(self) -> Schema:
        return {
            "type": "object",
            "properties": {LOGIN: OURS.schema(), OTHER: OURS.schema()},
            "patternProperties": {"^x-": {}},
            "additionalProperties": SERVICE.schema(),
            "propertyNames": scalars.NAME.schema(),
        }


class _Raw(AnyShape):
    """Hands the node on: which table it is depends on the service's name."""

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any:  # noqa: ARG002  (the shape of a shape)
        return node


LIMITS = Field("limits", LimitsShape(_SELF), "for the whole account")
SERVICES = Field("services", ServicesShape(), "the named parts of the account")
PRIVATE = Table(
    (
        Field("processes", scalars.FLAG, "it sees its own processes and its own cgroup, and no others", False),
        Field("tmp", scalars.FLAG, "its own /tmp and /var/tmp", False),
        Field("shm", scalars.FLAG, "its own /dev/shm", False),
    ),
    expected="a mapping such as {processes: true, tmp: true, shm: true}",
)

DISK = Table(
    (
        Field("max", scalars.SPACE, "bytes on the file system of the home, of each of its users", "unlimited"),
        Field("files", scalars.FILES, "files and directories there, of each of its users", "unlimited"),
    ),
    expected="a mapping such as {max: 10G, files: 200000}",
)

SEEN = (
    Field("private", PRIVATE, "what of the machine the account has for itself alone"),
    Field(
        "hide", ListOf(scalars.ROOT, "a list of paths"), "what it does not see at all, beside what config.yaml hides"
    ),
    Field("disk", DISK, "how much of the disk is its own: a quota of the file system"),
)

LOOPBACK = Field(
    "loopback",
    scalars.choice("own", "shared"),
    "whose 127.0.0.1 is: the account's own first, or the machine's alone",
    "own",
)

EGRESS = Field("egress", EgressShape(), "where to the account's packets may leave the machine", "allow")

PLAN_ALLOW = Field("allow", _ALLOW, "what the files of its accounts may ask for, in the place of config.yaml's")

PLAN = Table((Field("plan", scalars.NAME, "= the file's name"), LIMITS, SERVICES, LOOPBACK, EGRESS, *SEEN, PLAN_ALLOW))

ACCOUNT = Table(
    (
        Field("account", scalars.NAME, "= the file's name"),
        Field("users", ListOf(scalars.USER, "a list of users"), "Unix users (default: the account's name)"),
        Field(
            "owner",
            scalars.USER,
            "whose are files, services and the address; needed only when there are several users "
            "and none is named like the account",
        ),
        Field("plan", scalars.NAME, "the plan that limits and services are inherited from"),
        LIMITS,
        SERVICES,
        Field("suspended", scalars.FLAG, "no logins, no services, nothing lost", False),
        Field("renamed_from", scalars.NAME, "the account's former name: keeps cgroup and history"),
        Field(
            "address",
            AddressShape(),
            "its private address, or one of each family, out of the pool (default: by the owner's uid)",
        ),
        Field("peers", ListOf(scalars.NAME, "a list of accounts"), "accounts that may connect to this one"),
        LOOPBACK,
        EGRESS,
        *SEEN,
    )
)
