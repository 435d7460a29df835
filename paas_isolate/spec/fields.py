"""The table of keys: those of every document and every part of it, with shape, meaning and default.

The parser, the JSON Schema, docs/reference/yaml.md and "did you mean" use it. A new key is one line here; a new limit
is one line in model/limits.py.
"""

from typing import Any

from paas_isolate.model.account import LOGIN, OTHER, Host, NetworkConfig, Tree
from paas_isolate.model.limits import Value
from paas_isolate.model.metering import PRICED, FaultSettings, MeteringConfig, MetricsConfig
from paas_isolate.model.notices import MailConfig
from paas_isolate.model.service_program import DEFAULT, LOG_KEEP, LOG_MAX
from paas_isolate.model.view import HIDDEN, PrivateTmpConfig
from paas_isolate.spec import scalars
from paas_isolate.spec.allow import WORDS
from paas_isolate.spec.diagnostics import Diagnostics, below
from paas_isolate.spec.egress import EgressShape
from paas_isolate.spec.labels import LabelsShape
from paas_isolate.spec.limits import LimitsShape
from paas_isolate.spec.names import NAME_EXPECTED, is_name
from paas_isolate.spec.notices import SERVER, NoticesShape
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
        Field("unit", scalars.UNIT, "the systemd unit that the tree of cgroups is delegated to", Tree().unit),
        Field("root", scalars.ROOT, "on a machine without systemd: a cgroup v2 directory that nothing else uses"),
    )
)

USERS = Table(
    (
        Field("first_uid", scalars.whole(1, 2**32 - 2, "1000"), "no uid below is ever confined", _HOST.first_uid),
        Field("last_uid", scalars.whole(1, 2**32 - 2, "59999"), "no uid above is ever confined", _HOST.last_uid),
        Field(
            "exempt",
            ListOf(scalars.EXEMPT, "a list of users and @groups"),
            "users and @groups that are never confined, whatever an account says",
            list(_HOST.exempt),
        ),
        Field(
            "without_account",
            scalars.WITHOUT_ACCOUNT,
            "what happens to a uid of the range that is in no account: leave | penalty | plan NAME",
            _HOST.without_account,
        ),
        Field(
            "leave",
            ListOf(scalars.CGROUPS, "a list of cgroups"),
            "globs of cgroups whose processes are never moved, such as those of containers",
            list(_HOST.leave),
        ),
    )
)


class CeilingShape:
    """Limits of all customers together. There is one limit of cpu here, so it is flat: `cpu_weight`."""

    _flat = LimitsShape(percent=frozenset({"memory.max", "pids"}))
    _table = Table(
        (
            Field("memory", AnyShape(), "memory of all customers, as a size or in percent of the machine's", "75%"),
            Field("pids", AnyShape(), "processes of all customers, as a number or in percent of the machine's", "80%"),
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
            documented = schema["properties"][name]
            schema["properties"][name] = {**self._flat.limit_schema(full), **documented}
        return schema


NETWORK = Table(
    (
        Field("pool", scalars.POOL, "private IPv4 addresses: pool + 1 + (uid - first_uid)", NetworkConfig().pool),
        Field("pool6", scalars.POOL6, "private IPv6 addresses, by the same formula", NetworkConfig().pool6),
        Field(
            "frontends",
            ListOf(scalars.USER, "a list of users"),
            "users that may connect to every customer (the web server)",
            list(NetworkConfig().frontends),
        ),
        Field(
            "names",
            scalars.FLAG,
            "whether ACCOUNT.paas.internal and SERVICE.ACCOUNT.paas.internal are in /etc/hosts",
            NetworkConfig().names,
        ),
    )
)

UPKEEP = Table(
    (
        Field(
            "tmp", scalars.ROOT, "the directory that holds each account's own /tmp and /var/tmp", PrivateTmpConfig().tmp
        ),
        Field(
            "age",
            scalars.DURATION,
            "a file there is removed after it was not used for so long",
            format_duration(PrivateTmpConfig().age),
        ),
    )
)

_PRICE_OF = {
    "core_hour": "an hour of one core",
    "gb_hour": "1 GB of memory, held for an hour",
    "gb_read": "1 GB read from the disk of the home",
    "gb_written": "1 GB written to the disk of the home",
    "gb_received": "1 GB received by TCP",
    "gb_sent": "1 GB sent by TCP",
    "suspended_hour": "an hour in which the account was frozen",
}
_PRICES = Table(tuple(Field(name, scalars.PRICE, f"the price of {_PRICE_OF[name]}") for name in PRICED))

METRICS = Table(
    (Field("leaves", scalars.FLAG, "whether services have series of their own", MetricsConfig().leaves),),
    expected="a mapping such as {leaves: true}",
)

MAIL = Table(
    (
        Field("server", SERVER, "the SMTP server", MailConfig().server),
        Field("from", scalars.MAIL, "the sender's address", MailConfig().sender),
        Field("administrator", scalars.MAIL, "who gets the mails to `administrator`", MailConfig().administrator),
    )
)

_FAULTS = Table(
    (
        Field(
            "throttled",
            scalars.PART,
            "CPU throttled: the part of the time that the limit made it wait",
            f"{FaultSettings().throttled}%",
        ),
        Field("used", scalars.PART, "CPU throttled: the part of its limit that it used", f"{FaultSettings().used}%"),
        Field(
            "waited",
            scalars.PART,
            "IO waited: the part of the time that all its work waited for the disk",
            f"{FaultSettings().waited}%",
        ),
    )
)

METERING = Table(
    (
        Field(
            "every",
            scalars.SAMPLED,
            "the time between two samples of the daemon; without it each reconcile takes one",
            format_duration(MeteringConfig().every),
        ),
        Field(
            "keep",
            scalars.KEPT,
            "the size that the ledger may have; above it the oldest values are deleted, but never days",
            format_size(MeteringConfig().keep),
        ),
        Field("time_zone", scalars.TIME_ZONE, "the time zone of days and months", MeteringConfig().time_zone),
        Field("prices", _PRICES, "prices for the bill; without one there are quantities only"),
        Field("faults", _FAULTS, "what counts as a fault"),
        Field(
            "command_lines",
            scalars.FLAG,
            "whether pictures of processes have their arguments, which may hold secrets",
            MeteringConfig().command_lines,
        ),
        Field("metrics", METRICS, "what `paas-isolate metrics` serves"),
        Field("notices", NoticesShape(), "rules: when somebody is told something about an account"),
        Field("mail", MAIL, "how notices are mailed"),
    )
)

WEB = Table(
    (Field("root", scalars.FLAG, "whether root may log in to the page with a password", _HOST.web_root),),
    expected="a mapping such as {root: true}",
)

_ALLOW = ListOf(scalars.choice(*WORDS), f"a list of {', '.join(WORDS)}")

HOST = Table(
    (
        Field("tree", TREE, "where the tree of cgroups is"),
        Field("users", USERS, "which users may be confined"),
        Field("penalty", LimitsShape(_SELF), "for logins that cannot be put into their account's cgroup", PENALTY),
        Field("ceiling", CeilingShape(), "limits of all customers together", CEILING),
        Field("network", NETWORK, "private addresses; without this key the network stays as it is"),
        Field(
            "suspension",
            scalars.choice("freeze", "stop"),
            "whether the services of a suspended account are frozen or stopped; all else of it is frozen",
            _HOST.suspension,
        ),
        Field("private", UPKEEP, "where and how long the private files of accounts are kept"),
        Field(
            "hide",
            ListOf(scalars.ROOT, "a list of paths"),
            "paths that accounts with `private` or `hide` do not see",
            list(HIDDEN),
        ),
        Field("allow", _ALLOW, "what that may affect others an account's file may ask for", list(_HOST.allow)),
        Field(
            "administrators",
            ListOf(scalars.EXEMPT, "a list of users and @groups"),
            "users and @groups that may do through the daemon what root may; no user of an account is one",
            list(_HOST.administrators),
        ),
        Field("web", WEB, "the page"),
        Field(
            "publish_ports",
            OneOrList(scalars.PORTS, "a list of ports and ranges such as 8000-8999"),
            "the ports of the machine that an account's file may publish; a plan may publish any",
            "1024-65535",
        ),
        Field("metering", METERING, "what is used is measured; without this key nothing is"),
        Field("default_plan", scalars.NAME, "the plan of an account that names none (default: no plan)"),
    )
)

MATCH = Table(
    (
        Field("program", scalars.GLOB, "a glob for the base name of /proc/PID/exe"),
        Field("command", scalars.GLOB, "a glob for the command line"),
        Field("user", scalars.GLOB, "a glob for the user"),
    ),
    expected="a mapping such as {program: apache2}",
)

LOG = Table(
    (
        Field("max", scalars.LOG_SIZE, "the size at which it is rotated", format_size(LOG_MAX)),
        Field("keep", scalars.whole(0, 100, "3"), "how many rotated files are kept", LOG_KEEP),
    )
)

FAILURE = Table(
    (
        Field("mail", scalars.MAIL, "the address that the end of its output is mailed to"),
        Field("run", scalars.LINE, "a command; it runs as the owner in the service's cgroup"),
    )
)

HEALTH = Table(
    (
        Field("run", scalars.LINE, "a command that succeeds while the service is healthy"),
        Field("every", scalars.EVERY, "how often it is run", "30s"),
        Field("failures", scalars.whole(1, 1000, "3"), "the service is restarted after so many failures in a row", 3),
    )
)

SERVICE_LIMITS = Field("limits", LimitsShape(_SELF | {"memory.max"}), "limits of the service, within the account's")
OURS = Table((SERVICE_LIMITS,))
"""The keys of `login` and `other`, which every account has."""

SERVICE = Table(
    (
        Field("match", MATCH, "which of the account's processes belong to the service; all given globs must match"),
        Field("priority", scalars.whole(-1000, 1000, "10"), "where several services match, the highest wins", 0),
        SERVICE_LIMITS,
        Field(
            "entry",
            ListOf(scalars.PAM_SERVICE, "a list of PAM services such as [cron, atd]"),
            "PAM services whose sessions start in this service (needs paas-isolate pam install)",
        ),
        Field("run", scalars.LINE, "the command, a line for sh; it runs as the owner and is kept running"),
        Field("directory", scalars.PATH, "its working directory", DEFAULT.directory),
        Field("environment", EnvironmentShape(), "its environment variables"),
        Field("environment_file", scalars.PATH, "a file with more of them, in lines NAME=VALUE; read as the owner"),
        Field("restart", scalars.choice("always", "on-failure", "never"), "when it is started again", DEFAULT.restart),
        Field("stop_timeout", scalars.DURATION, "the time between SIGTERM and SIGKILL", "10s"),
        Field("health", HEALTH, "a check of its health; the service is restarted when it fails"),
        Field("listen", scalars.PORT, "the port that it listens on, on the account's address; `publish` leads there"),
        Field("publish", scalars.PORT, "a port of the machine that is forwarded to `listen`, TCP and UDP"),
        Field("schedule", scalars.SCHEDULE, "when it runs, as in crontab; it is a job then, and runs once at a time"),
        Field(
            "replicas", scalars.whole(1, 100, "3"), "how many of it run, each in a cgroup of its own", DEFAULT.replicas
        ),
        Field("umask", scalars.UMASK, "its umask", DEFAULT.umask),
        Field("rlimits", RlimitsShape(), "its resource limits, by name as in prlimit(1)"),
        Field("no_new_privs", scalars.FLAG, "whether set-uid programs give it no privileges", DEFAULT.no_new_privs),
        Field("log", LOG, "its log, ~/logs/SERVICE.log"),
        Field("on_failure", FAILURE, "what to do when a job has failed"),
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
"""The keys of a service that go into its ServiceProgram."""


class AddressShape:
    """One address, or a list of at most one IPv4 and one IPv6 address."""

    _list = ListOf(scalars.ADDRESS, "a list of addresses")

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> tuple[str, ...]:
        if not isinstance(node, Items):
            return (scalars.ADDRESS.read(node, key, diagnostics),)
        addresses: tuple[str, ...] = self._list.read(node, key, diagnostics)
        if not addresses or len({":" in (address or "") for address in addresses}) < len(addresses):
            diagnostics.error_value(node, key, "an address, or a list of one IPv4 and one IPv6 address")
        return addresses

    def schema(self) -> Schema:
        return {"anyOf": [scalars.ADDRESS.schema(), self._list.schema()]}


class ServicesShape:
    """Services by name, each as a dict of its values."""

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
    """Returns the node itself: the table that reads it depends on the service's name."""

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> Any:  # noqa: ARG002  (the shape of a shape)
        return node


LIMITS = Field("limits", LimitsShape(_SELF, account=True), "limits of the whole account")
SERVICES = Field("services", ServicesShape(), "the services of the account, by name")
PRIVATE = Table(
    (
        Field("processes", scalars.FLAG, "whether it sees its own processes and cgroups alone", False),
        Field("tmp", scalars.FLAG, "whether it has its own /tmp and /var/tmp", False),
        Field("shm", scalars.FLAG, "whether it has its own /dev/shm", False),
    ),
    expected="a mapping such as {processes: true, tmp: true, shm: true}",
)

DISK = Table(
    (
        Field("max", scalars.SPACE, "size of each user's files on the file system of the home", "unlimited"),
        Field("files", scalars.FILES, "number of each user's files and directories there", "unlimited"),
    ),
    expected="a mapping such as {max: 10G, files: 200000}",
)

SEEN = (
    Field("private", PRIVATE, "what the account has for itself alone"),
    Field("hide", ListOf(scalars.ROOT, "a list of paths"), "paths that it does not see, beside those in config.yaml"),
    Field("disk", DISK, "disk quotas of its users"),
)

LOOPBACK = Field(
    "loopback",
    scalars.choice("own", "shared"),
    "whether 127.0.0.1 is the account's own before the machine's, or the machine's alone",
    "own",
)

EGRESS = Field(
    "egress",
    EgressShape(),
    "where the account may connect to outside the machine, and how often to mail servers (`limit: {smtp: 100/h}`)",
    "allow",
)

PLAN_ALLOW = Field("allow", _ALLOW, "replaces the `allow` of config.yaml for accounts with this plan")

PLAN = Table(
    (
        Field("plan", scalars.NAME, "the file's name without .yaml"),
        Field("next", scalars.NAME, "the plan above it: customers see what that would change"),
        LIMITS,
        SERVICES,
        LOOPBACK,
        EGRESS,
        *SEEN,
        PLAN_ALLOW,
    )
)

ACCOUNT = Table(
    (
        Field("account", scalars.NAME, "the file's name without .yaml"),
        Field("users", ListOf(scalars.USER, "a list of users"), "Unix users (default: the account's name)"),
        Field(
            "owner",
            scalars.USER,
            "the user who owns files, services and the address; needed only where there are several users "
            "and none is named like the account",
        ),
        Field("plan", scalars.NAME, "the plan that it inherits limits and services from"),
        Field("labels", LabelsShape(), "by what `usage` and `bill` can group accounts, such as `reseller: north`"),
        LIMITS,
        SERVICES,
        Field("suspended", scalars.FLAG, "no logins, no services, nothing lost", False),
        Field("renamed_from", scalars.NAME, "the account's former name; it keeps its cgroup and history"),
        Field(
            "address",
            AddressShape(),
            "its private address, or one of each family, from the pools (default: by the owner's uid)",
        ),
        Field("peers", ListOf(scalars.NAME, "a list of accounts"), "accounts that may connect to this one"),
        Field("mail", scalars.MAIL, "where notices to the customer are mailed (default: the owner's mailbox)"),
        Field(
            "on_high",
            scalars.LINE,
            "a command that runs as the owner, in the leaf `other`, when memory.high is reached; once a minute at most",
        ),
        LOOPBACK,
        EGRESS,
        *SEEN,
    )
)
