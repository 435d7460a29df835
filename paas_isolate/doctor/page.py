"""The page: whether it runs and where it listens, who can reach the login helper, and what decides about logins."""

import grp
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from paas_isolate.control.logins import SOCKET
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.linux.network import sockets
from paas_isolate.linux.system import packages, schedule, systemd
from paas_isolate.linux.system.schedule import Way
from paas_isolate.linux.system.users import login_of
from paas_isolate.source import tokens

PACKAGE = schedule.PAGE_PACKAGE
"""The group that may connect to the login helper is called so, too, and the PAM stack."""
_LOGIN_SOCKET = SOCKET
_STACK = f"/etc/pam.d/{PACKAGE}"
_ENABLE = f"paas-isolate enable {schedule.PAGE}"


class Owned(NamedTuple):
    """Whose something is to be, and with which mode."""

    owner: str
    group: str
    mode: int


def examine(state: str) -> Iterator[Check]:
    """Nothing where the page is not installed; `state` is the state directory."""
    yield from tokens_file(os.path.join(state, tokens.FILE))
    if not systemd.running() or not _is_installed():
        return
    yield login_stack(_STACK)
    if not schedule.page_is_on() and not _is_active(schedule.PAGE_SERVICE):
        yield Check(schedule.PAGE_SERVICE, Verdict.SKIPPED, "installed, and not enabled", _ENABLE)
        return
    yield _service()
    yield _daemon()
    yield login_socket(_LOGIN_SOCKET, Owned("root", PACKAGE, 0o660))


def _is_installed() -> bool:
    try:
        return systemd.properties(schedule.PAGE_SERVICE, "LoadState").get("LoadState") == "loaded"
    except HostError:
        return False


def _is_active(unit: str) -> bool:
    return systemd.properties(unit, "ActiveState").get("ActiveState") == "active"


def _service() -> Check:
    name = schedule.PAGE_SERVICE
    found = systemd.properties(name, "ActiveState", "MainPID", "UnitFileState")
    state = found.get("ActiveState", "")
    if state != "active":
        return Check(name, Verdict.FAILED, state, f"journalctl -u {name}; systemctl restart {name}")
    try:
        places = sockets.places(int(found.get("MainPID", "0")))
    except OSError:
        return Check(name, Verdict.OK, "active; only root can see where it listens")
    if not places:
        return Check(name, Verdict.FAILED, "active, and listens nowhere", f"journalctl -u {name}")
    said = f"active, on {' and '.join(places)}"
    if found.get("UnitFileState") != "enabled":
        return Check(name, Verdict.OK, f"{said}; it does not come back at the next boot", _ENABLE)
    return Check(name, Verdict.OK, said)


def _daemon() -> Check:
    name = schedule.UNITS[Way.DAEMON]
    if _is_active(name):
        return Check("page's daemon", Verdict.OK, "active")
    return Check(
        "page's daemon", Verdict.FAILED, f"{name} does not run: nobody can log in", "paas-isolate enable daemon"
    )


def login_socket(path: str, wanted: Owned) -> Check:
    """Whether the login helper can be asked by the page's process, and by nobody else: who can reach it can try
    passwords."""
    name, mend = "login socket", f"systemctl restart {schedule.PAGE_SOCKET}"
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Check(name, Verdict.FAILED, f"{path} is missing: nobody can log in", mend)
    if not stat.S_ISSOCK(status.st_mode):
        return Check(name, Verdict.FAILED, f"{path} is no socket", f"rm {path}; {mend}")
    found = Owned(login_of(status.st_uid), _group(status.st_gid), stat.S_IMODE(status.st_mode))
    if found != wanted:
        text = f"{path} is {_words(found)}, and should be {_words(wanted)}"
        return Check(name, Verdict.FAILED, text, mend)
    return Check(name, Verdict.OK, f"{path} is {_words(found)}")


def _words(owned: Owned) -> str:
    return f"{owned.owner}:{owned.group} {owned.mode:04o}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def login_stack(path: str) -> Check:
    """Whether PAM has a stack for logins to the page. Without one, pam(3) takes `other`, which refuses everybody on
    Debian."""
    name = "page's logins"
    try:
        status = os.stat(path)
    except FileNotFoundError:
        mend = packages.reinstall(PACKAGE, missing_configuration=True)
        return Check(name, Verdict.FAILED, f"{path} is missing", mend)
    if status.st_uid != 0 or status.st_mode & 0o022:
        text = f"users other than root may write {path}"
        return Check(name, Verdict.FAILED, text, f"chown root: {path}; chmod go-w {path}")
    return Check(name, Verdict.OK, f"{path} says who may log in")


def tokens_file(path: str) -> Iterator[Check]:
    """Nothing where no token was ever made."""
    try:
        status = os.lstat(path)
    except OSError:  # there is none, or this is not root, who alone can look into the directory
        return
    if status.st_uid != 0 or status.st_mode & 0o077 or not stat.S_ISREG(status.st_mode):
        text = f"{path} is not a file of root's alone (mode {stat.S_IMODE(status.st_mode):04o})"
        yield Check("tokens", Verdict.FAILED, text, f"chown root: {path}; chmod 600 {path}; paas-isolate token list")
    else:
        yield Check("tokens", Verdict.OK, f"{path} is root's alone")
