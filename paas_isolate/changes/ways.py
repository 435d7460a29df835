"""By which way did a process come in, and why is it outside? Read off its ancestors, and off its cgroup.

Ancestors tell the way as long as they live: what outlived its login hangs below init, and came by whatever it was.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.world import Kin

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
"""Units whose processes have come by a session of PAM; without pam_systemd they stay in the unit."""

_SESSION = re.compile(r"/user\.slice/user-\d+\.slice/session-[^/]+\.scope(/|$)")
_MANAGER = re.compile(r"/user\.slice/user-\d+\.slice/(user@\d+\.service)(/|$)")
_UNIT = re.compile(r"/(?:[^/]+\.slice/)*([^/]+\.(?:service|scope))(/|$)")


class Why(StrEnum):
    """Why a process is not confined."""

    CONFINED = ""
    LOGIN = "login"
    MANAGER = "user-manager"
    UNIT = "unit"
    PENALTY = "penalty"
    ACCOUNT = "account"
    LEFT = "left"
    ELSEWHERE = "elsewhere"


class Reason(NamedTuple):
    """`what` is the unit, or the cgroup, that the reason is about."""

    why: Why
    what: str = ""

    def __str__(self) -> str:
        """For the table."""
        match self.why:
            case Why.UNIT | Why.ELSEWHERE:
                return self.what
            case Why.ACCOUNT:
                return "another account"
            case Why.LEFT:
                return "left where root put it"
            case Why.MANAGER:
                return "user manager"
        return str(self.why)

    @property
    def told(self) -> str:
        """The reason whole, and what is to be done about it."""
        match self.why:
            case Why.LOGIN:
                return "a login that did not pass our line of PAM: paas-isolate doctor tells why"
            case Why.MANAGER:
                return (
                    f"started by systemd for the user (linger, or pam_systemd at a login): systemctl stop {self.what}"
                )
            case Why.UNIT:
                return "started by this unit without a login: let its ExecStart= begin with paas-enter"
            case Why.PENALTY:
                return "the door of the login did not open: paas-isolate reconcile mends the doors"
            case Why.ACCOUNT:
                return "it is in the cgroup of another account"
            case Why.LEFT:
                return f"users.leave of config.yaml names {self.what}: the account's limits do not hold there"
            case Why.ELSEWHERE:
                return "somebody put it there: neither a login nor a unit has this cgroup"
        return ""


def way(pid: int, kin: Callable[[int], Kin | None], customers: Callable[[int], bool]) -> str:
    """The name of the nearest ancestor that is no customer's, as people call that way in; LEFT_BEHIND where it is
    init. `kin` knows a process by its pid, None when it has ended; `customers` are the uids that are governed."""
    seen: set[int] = set()
    while pid > INIT and pid not in seen and (found := kin(pid)):
        if not customers(found.uid):
            return LEFT_BEHIND if found.name in _SUBREAPERS else _DAEMONS.get(found.name, found.name)
        seen.add(pid)
        pid = found.parent
    return LEFT_BEHIND


def why(cgroup: str, directory: str) -> Reason:
    """The reason why a process in `cgroup` is not in `directory`, that of its account ('' for a user of none)."""
    if tree.inside(cgroup):
        return _inside(cgroup, directory)
    if _SESSION.match(cgroup):
        return Reason(Why.LOGIN)
    if manager := _MANAGER.match(cgroup):
        return Reason(Why.MANAGER, manager[1])
    if unit := _UNIT.match(cgroup):
        daemon = unit[1].partition(".")[0].partition("@")[0]
        return Reason(Why.LOGIN) if daemon in _OF_LOGINS else Reason(Why.UNIT, unit[1])
    return Reason(Why.ELSEWHERE, cgroup)


def _inside(cgroup: str, directory: str) -> Reason:
    if cgroup == tree.PENALTY and directory:
        return Reason(Why.PENALTY)
    if directory and tree.directory_of(cgroup) != directory:
        return Reason(Why.ACCOUNT)
    return Reason(Why.CONFINED)
