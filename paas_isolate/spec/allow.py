"""What an account's own file may ask for. A reseller may have written it; config.yaml and plans are root's."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from paas_isolate.model.account import Account, Host, Plan, Service
from paas_isolate.model.limits import Limits, Percent
from paas_isolate.model.machine import Machine
from paas_isolate.model.service_program import ServiceProgram
from paas_isolate.text import excerpt
from paas_isolate.units import format_size

PUBLISH, RLIMITS, HIDE, USERS = "publish", "rlimits", "hide", "users"
WORDS = (PUBLISH, RLIMITS, HIDE, USERS)

_MEMLOCK = 64 << 20
"""Bytes that an account without memory.max may lock (RLIMIT_MEMLOCK)."""

_BOUNDS: Mapping[str, int] = {"rtprio": 0, "nice": 20, "msgqueue": 819_200}
"""The highest values of resource limits by which an account could harm others (getrlimit(2)). rtprio: cpu.max does not
hold SCHED_FIFO and SCHED_RR. nice: 20 is the nice value 0. msgqueue: the kernel's default, in bytes. The bound of
memlock is the account's memory. All other resource limits restrict the program alone, or count in its cgroup."""

MOST_LEAVES = 256
"""Services in one account's file, each replica counted: each is a cgroup and costs memory of the machine."""

_SYSTEM = re.compile(r"/(?:etc|usr|lib[^/]*|s?bin|run|var|dev|proc|sys)(?:/|$)")
"""Set-uid programs decide by what is there and what is not: without /etc/cron.deny every user may use cron, without
/run/faillock no login has failed before. So an account must not hide these directories from them."""

HIDEABLE = (
    "/etc/apache2",
    "/etc/bind",
    "/etc/cron.d",
    "/etc/dovecot",
    "/etc/exim4",
    "/etc/letsencrypt",
    "/etc/mysql",
    "/etc/nginx",
    "/etc/paas-isolate",
    "/etc/php",
    "/etc/postfix",
    "/etc/postgresql",
    "/etc/proftpd",
    "/etc/ssl/private",
    "/etc/systemd",
    "/run/dbus",
    "/run/mysqld",
    "/run/php",
    "/run/postgresql",
    "/run/systemd/sessions",
    "/run/systemd/users",
    "/var/backups",
    "/var/cache",
    "/var/lib/mysql",
    "/var/lib/postgresql",
    "/var/log/apache2",
    "/var/log/nginx",
    "/var/mail",
    "/var/www",
)
"""Directories of the system that may be hidden: no set-uid program decides by them."""


class ForbiddenValue(NamedTuple):
    """One value that is left out: its key path, and the complaint's text, which names what would permit it."""

    key: str
    text: str


class Rights(NamedTuple):
    """What one account's file may ask for. A value that its plan has too is never refused, for plans are root's.

    `allow` are the permitted words, `ports` the first and last ports of ranges, `hidden` the paths that are hidden
    anyway, `memlock` the highest RLIMIT_MEMLOCK in bytes."""

    allow: frozenset[str]
    ports: tuple[tuple[int, int], ...]
    plan: Plan | None
    hidden: frozenset[str]
    memlock: int

    def services(self, services: tuple[Service, ...]) -> tuple[tuple[Service, ...], list[ForbiddenValue]]:
        """The account's own services without what is not permitted, and what was left out."""
        of_plan = {service.name: service for service in self.plan.services} if self.plan else {}
        refused: list[ForbiddenValue] = []
        kept = tuple(self._service(own, of_plan.get(own.name) or Service(own.name), refused) for own in services)
        return (kept if refused else services), refused

    def paths(self, paths: tuple[str, ...]) -> tuple[tuple[str, ...], list[ForbiddenValue]]:
        """The paths of `hide:` that are permitted, and what was left out."""
        if HIDE in self.allow:
            return paths, []
        refused = [
            ForbiddenValue(
                f"hide[{i}]", f"is {excerpt(path)}, which set-uid programs may go by; {_expected('another path', HIDE)}"
            )
            for i, path in enumerate(paths)
            if path not in self.hidden and not is_hideable(path)
        ]
        return tuple(path for path in paths if path in self.hidden or is_hideable(path)), refused

    def _service(self, own: Service, plan: Service, refused: list[ForbiddenValue]) -> Service:
        key = f"services.{own.name}"
        wrong = dict(self._rlimits(own.work, plan.work))
        refused += [ForbiddenValue(f"{key}.rlimits.{name}", text) for name, text in wrong.items()]
        if wrong:
            rlimits = {name: value for name, value in own.work.rlimits.items() if name not in wrong}
            own = own._replace(work=own.work._replace(rlimits=rlimits))
        if own.publish != plan.publish and (text := self._port(own.publish)):
            refused.append(ForbiddenValue(f"{key}.publish", text))
            own = own._replace(publish=0)
        return own

    def _rlimits(self, own: ServiceProgram, plan: ServiceProgram) -> Iterator[tuple[str, str]]:
        if RLIMITS in self.allow:
            return
        bounds = {**_BOUNDS, "memlock": self.memlock}
        for name, value in own.rlimits.items():
            most = bounds.get(name)
            if most is not None and value != plan.rlimits.get(name) and not 0 <= value <= most:
                shown = "unlimited" if value < 0 else value
                bound = format_size(most) if name == "memlock" else str(most)
                yield name, f"is {shown}; {_expected(f'at most {bound}', RLIMITS)}"

    def _port(self, port: int) -> str:
        """The complaint's text where the port may not be published; '' where it may."""
        if not port:
            return ""
        if PUBLISH not in self.allow:
            return f"is {port}; {_expected('no port of the machine', PUBLISH)}"
        if any(first <= port <= last for first, last in self.ports):
            return ""
        ranges = ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in self.ports)
        return f"is {port}; expected a port of `publish_ports` in config.yaml ({ranges or 'none'})"


def rights(host: Host, plan: Plan | None, limits: Limits, machine: Machine) -> Rights:
    """The rights of an account. `limits` are its own merged with its plan's."""
    allow = host.allow if plan is None or plan.allow is None else plan.allow
    hidden = frozenset((*host.hide, *(plan.hide if plan else ())))
    return Rights(frozenset(allow), host.publish_ports, plan, hidden, _memory(limits, machine) or _MEMLOCK)


def as_permitted(account: Account, host: Host, plan: Plan | None, machine: Machine) -> Account:
    """A last good copy without what the account's file may not ask for today."""
    if not account.view and not asks_more(account.services):
        return account
    may = rights(host, plan, account.limits, machine)
    services, _ = may.services(account.services)
    view = account.view and account.view._replace(hide=may.paths(account.view.hide)[0])
    return account._replace(services=services, view=view)


def asks_more(services: Iterable[Service]) -> bool:
    """Whether a service asks for something that needs a permission."""
    return any(service.publish or service.work.rlimits for service in services)


def too_many(services: Iterable[Service]) -> str:
    """The complaint's text where an account's file has more services and replicas than MOST_LEAVES; else ''."""
    leaves = sum(service.work.replicas or 1 for service in services)
    if leaves <= MOST_LEAVES:
        return ""
    return f"has {leaves} services and replicas; expected at most {MOST_LEAVES}, or more of them in the plan"


def is_hideable(path: str) -> bool:
    """Whether an account may hide this path from its processes without a permission."""
    plain = re.sub("/+", "/", path)
    return not _SYSTEM.match(plain) or any(plain == safe or plain.startswith(f"{safe}/") for safe in HIDEABLE)


def users_refused(account: str, user: str) -> str:
    """The complaint's text where an account's file names another user than its own."""
    return f"is {excerpt(user)}; {_expected(f'the user {account} alone', USERS)}"


def _expected(value: str, word: str) -> str:
    return f"expected {value}, or `allow: [{word}]` in config.yaml or in the plan"


def _memory(limits: Limits, machine: Machine) -> int:
    """memory.max in bytes; 0 where there is none."""
    match limits.get("memory.max"):
        case Percent() as percent:
            return int(percent.of_hundred * machine.memory / 100)
        case int() as number:
            return number
    return 0
