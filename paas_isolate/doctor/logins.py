"""Logins: what would let a customer in outside the tree, or lead one out of it."""

import os
import re
from collections.abc import Iterator

from paas_isolate.doctor import stacks
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.pam import auth_update, profile, sshd
from paas_isolate.linux.system import mounts
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import COMPLETE
from paas_isolate.source import decisions

LINGER = "/var/lib/systemd/linger"
_USERS = "/user.slice"
_SLICE = re.compile(r"user-(\d+)\.slice")
SHOWN = 5


def examine(fleet: Fleet, state: str, doors: str) -> Iterator[Check]:
    found = stacks.read()
    if not stacks.are_ours(found):
        said = "logins do not pass our module; reconcile sweeps them in"
        yield Check("pam", Verdict.SKIPPED, said, stacks.INSTALL)
        return
    yield stacks.passing(found)
    yield _module(auth_update.module_file())
    yield _options(found, fleet, doors)
    yield stacks.systemd(found)
    yield _sshd()
    yield complete(doors, state)
    yield lingering(fleet)
    yield _managers(fleet)


def _module(file: str) -> Check:
    if file:
        return Check("pam module", Verdict.OK, file)
    found = f"{profile.MODULE} is missing: customers are refused, or come in outside (on_failure=open)"
    return Check("pam module", Verdict.FAILED, found, "scripts/install")


def _options(found: stacks.Stacks, fleet: Fleet, doors: str) -> Check:
    try:
        return stacks.options(found, fleet, find_tree(fleet.host.tree).root, doors)
    except HostError as error:
        return Check("pam options", Verdict.SKIPPED, str(error).splitlines()[0], error.hint)


def _sshd() -> Check:
    if not sshd.program():
        return Check("UsePAM", Verdict.SKIPPED, "there is no sshd")
    try:
        said = sshd.settings().get("usepam", "no")
    except HostError as error:
        return Check("UsePAM", Verdict.SKIPPED, str(error).splitlines()[0], error.hint)
    if said == "yes":
        return Check("UsePAM", Verdict.OK, "sshd passes PAM")
    mend = "sed -i '1iUsePAM yes' /etc/ssh/sshd_config && systemctl reload ssh"
    return Check("UsePAM", Verdict.FAILED, f"sshd passes no PAM (UsePAM {said}): ssh comes in outside", mend)


def complete(doors: str, state: str) -> Check:
    """Without the mark that all doors are there, whoever has none is taken for a customer whose door is lost."""
    mend = "paas-isolate reconcile"
    try:
        os.stat(f"{doors}/{COMPLETE}")
        if decisions.load(state).doors:
            return Check("doors", Verdict.OK, f"complete in {doors}")
        found, mend = "nobody keeps them: it is not decided that there are any", stacks.INSTALL
    except PermissionError:
        return Check("doors", Verdict.SKIPPED, f"only root sees into {doors}")
    except OSError:
        found = f"not complete in {doors}: customers without a door get no further than the penalty leaf"
    except HostError as error:
        found, mend = str(error).splitlines()[0], error.hint
    return Check("doors", Verdict.FAILED, found, mend)


def lingering(fleet: Fleet, directory: str = LINGER) -> Check:
    """Customers for whom systemd starts a manager at boot, without a login. They can ask for that themselves: no
    host is unfit by it."""
    users = set(_customers(fleet).values())
    names = sorted(users.intersection(os.listdir(directory))) if os.path.isdir(directory) else []
    if not names:
        return Check("linger", Verdict.OK, "no customer lingers")
    found = f"systemd starts a manager at boot for {_some(names)}"
    return Check("linger", Verdict.SKIPPED, found, f"loginctl disable-linger {' '.join(names)}")


def _managers(fleet: Fleet) -> Check:
    try:
        mount = mounts.cgroup2().point
    except HostError as error:
        return Check("user managers", Verdict.SKIPPED, str(error).splitlines()[0], error.hint)
    with CgroupTree(mount, mount) as cgroups:
        return managers(fleet, cgroups)


def managers(fleet: Fleet, cgroups: CgroupTree) -> Check:
    """Managers of customers that are alive: what they start is outside."""
    customers = _customers(fleet)
    slices = (_SLICE.fullmatch(name) for name in cgroups.children(_USERS))
    uids = sorted(uid for each in slices if each and (uid := int(each[1])) in customers)
    alive = [uid for uid in uids if cgroups.populated(f"{_USERS}/user-{uid}.slice/user@{uid}.service")]
    if not alive:
        return Check("user managers", Verdict.OK, "no customer has one")
    found = f"alive outside the tree: those of {_some([customers[uid] for uid in alive])}"
    return Check("user managers", Verdict.FAILED, found, f"systemctl stop {' '.join(f'user@{uid}' for uid in alive)}")


def _customers(fleet: Fleet) -> dict[int, str]:
    users = (user for account in fleet.accounts.values() for user in account.uids.items())
    return {uid: name for name, uid in users if fleet.governs(uid)}


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
