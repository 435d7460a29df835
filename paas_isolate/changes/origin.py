"""The origin of a process (ssh, cron, ...) from its ancestors, and the reason why it is outside its account from its
cgroup.

Ancestors show the origin only while they live: a process that outlives its login is a child of init.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.world import ProcessParent

LEFT_BEHIND = "left-behind"
INIT = 1

_DAEMONS = {
    "sshd": "ssh",
    "sshd-session": "ssh",
    "sshd-auth": "ssh",
    "cron": "cron",
    "crond": "cron",
    "atd": "at",
}
_SUBREAPERS = ("systemd", "init")
_OF_LOGINS = {"ssh", "sshd", "cron", "crond", "atd", "getty", "serial-getty", "vsftpd", "proftpd", "pure-ftpd"}
"""Units that open PAM sessions for logins. Without pam_systemd the processes of a login stay in the unit's cgroup."""

_SESSION = re.compile(r"/user\.slice/user-\d+\.slice/session-[^/]+\.scope(/|$)")
_MANAGER = re.compile(r"/user\.slice/user-\d+\.slice/(user@\d+\.service)(/|$)")
_UNIT = re.compile(r"/(?:[^/]+\.slice/)*([^/]+\.(?:service|scope))(/|$)")


class OriginKind(StrEnum):
    """Why a process is not confined."""

    CONFINED = ""
    LOGIN = "login"
    MANAGER = "user-manager"
    UNIT = "unit"
    PENALTY = "penalty"
    ACCOUNT = "account"
    LEFT = "left"
    ELSEWHERE = "elsewhere"


class OriginReason(NamedTuple):
    """`what` is the unit or the cgroup that the reason names, '' where it names none."""

    why: OriginKind
    what: str = ""

    def __str__(self) -> str:
        """The short form, for tables."""
        match self.why:
            case OriginKind.UNIT | OriginKind.ELSEWHERE:
                return self.what
            case OriginKind.ACCOUNT:
                return "another account"
            case OriginKind.LEFT:
                return "left where root put it"
            case OriginKind.MANAGER:
                return "user manager"
        return str(self.why)

    @property
    def advice(self) -> str:
        """The reason in full, and what to do about it."""
        match self.why:
            case OriginKind.LOGIN:
                return "a login that did not pass our line of PAM: paas-isolate doctor tells why"
            case OriginKind.MANAGER:
                return (
                    f"started by systemd for the user (linger, or pam_systemd at a login): systemctl stop {self.what}"
                )
            case OriginKind.UNIT:
                return "started by this unit without a login: let its ExecStart= begin with paas-enter"
            case OriginKind.PENALTY:
                return "the door of the login did not open: paas-isolate reconcile mends the doors"
            case OriginKind.ACCOUNT:
                return "it is in the cgroup of another account"
            case OriginKind.LEFT:
                return f"users.leave of config.yaml names {self.what}: the account's limits do not hold there"
            case OriginKind.ELSEWHERE:
                return "somebody put it there: neither a login nor a unit has this cgroup"
        return ""


def origin(pid: int, kin: Callable[[int], ProcessParent | None], customers: Callable[[int], bool]) -> str:
    """The way in which a process came: the name of the nearest ancestor that is not a customer's, in common words such
    as `ssh`; LEFT_BEHIND where that is init or unknown. `kin` returns a process by its pid, None where it has ended;
    `customers` says whether a uid is governed."""
    seen: set[int] = set()
    while pid > INIT and pid not in seen and (process := kin(pid)):
        if not customers(process.uid):
            return LEFT_BEHIND if process.name in _SUBREAPERS else _DAEMONS.get(process.name, process.name)
        seen.add(pid)
        pid = process.parent
    return LEFT_BEHIND


def reason_of(cgroup: str, directory: str) -> OriginReason:
    """Why a process in `cgroup` is not in its account's `directory` ('' for the user of no account)."""
    if tree.inside(cgroup):
        return _inside(cgroup, directory)
    if _SESSION.match(cgroup):
        return OriginReason(OriginKind.LOGIN)
    if manager := _MANAGER.match(cgroup):
        return OriginReason(OriginKind.MANAGER, manager[1])
    if unit := _UNIT.match(cgroup):
        daemon = unit[1].partition(".")[0].partition("@")[0]
        return OriginReason(OriginKind.LOGIN) if daemon in _OF_LOGINS else OriginReason(OriginKind.UNIT, unit[1])
    return OriginReason(OriginKind.ELSEWHERE, cgroup)


def _inside(cgroup: str, directory: str) -> OriginReason:
    if cgroup == tree.PENALTY and directory:
        return OriginReason(OriginKind.PENALTY)
    if directory and tree.directory_of(cgroup) != directory:
        return OriginReason(OriginKind.ACCOUNT)
    return OriginReason(OriginKind.CONFINED)
