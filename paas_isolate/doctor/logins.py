"""Logins: what would place a customer's login outside the tree."""

import os
import re
from collections.abc import Iterator

from paas_isolate.doctor import stacks
from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.pam import auth_update, profile, sshd
from paas_isolate.linux.system import mounts, packages
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
        text = "no PAM stack calls pam_paas_isolate.so: logins enter their trees at the next reconcile only"
        yield Check("pam", Verdict.SKIPPED, text, stacks.INSTALL)
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
    found = f"{profile.MODULE} is missing: customers are refused, or log in outside their tree (on_failure=open)"
    return Check("pam module", Verdict.FAILED, found, packages.reinstall("libpam-paas-isolate"))


def _options(found: stacks.Stacks, fleet: Fleet, doors: str) -> Check:
    try:
        return stacks.options(found, fleet, find_tree(fleet.host.tree).root, doors)
    except HostError as error:
        return Check("pam options", Verdict.SKIPPED, str(error).splitlines()[0], error.hint)


def _sshd() -> Check:
    if not sshd.program():
        return Check("UsePAM", Verdict.SKIPPED, "sshd is not installed")
    try:
        value = sshd.settings().get("usepam", "no")
    except HostError as error:
        return Check("UsePAM", Verdict.SKIPPED, str(error).splitlines()[0], error.hint)
    if value == "yes":
        return Check("UsePAM", Verdict.OK, "sshd uses PAM")
    mend = "sed -i '1iUsePAM yes' /etc/ssh/sshd_config && systemctl reload ssh"
    return Check(
        "UsePAM", Verdict.FAILED, f"sshd does not use PAM (UsePAM {value}): its logins run outside the tree", mend
    )


def complete(doors: str, state: str) -> Check:
    """Without the mark COMPLETE, the module takes a user without a door for a customer whose door is lost."""
    mend = "paas-isolate reconcile"
    try:
        os.stat(f"{doors}/{COMPLETE}")
        if decisions.load(state).doors:
            return Check("doors", Verdict.OK, f"complete in {doors}")
        found, mend = "not maintained: logins through PAM are not installed", stacks.INSTALL
    except PermissionError:
        return Check("doors", Verdict.SKIPPED, f"only root can read {doors}")
    except OSError:
        found = f"not complete in {doors}: logins without a door go to the penalty leaf"
    except HostError as error:
        found, mend = str(error).splitlines()[0], error.hint
    return Check("doors", Verdict.FAILED, found, mend)


def lingering(fleet: Fleet, directory: str = LINGER) -> Check:
    """Customers for whom systemd starts a user manager at boot, without a login. They can enable that themselves,
    so that it is no failure."""
    users = set(_customers(fleet).values())
    names = sorted(users.intersection(os.listdir(directory))) if os.path.isdir(directory) else []
    if not names:
        return Check("linger", Verdict.OK, "no customer lingers")
    found = f"systemd starts a user manager at boot for {_shortened(names)}"
    return Check("linger", Verdict.SKIPPED, found, f"loginctl disable-linger {' '.join(names)}")


def _managers(fleet: Fleet) -> Check:
    try:
        mount = mounts.cgroup2().point
    except HostError as error:
        return Check("user managers", Verdict.SKIPPED, str(error).splitlines()[0], error.hint)
    with CgroupTree(mount, mount) as cgroups:
        return managers(fleet, cgroups)


def managers(fleet: Fleet, cgroups: CgroupTree) -> Check:
    """Running user managers of customers: what they start is outside the tree."""
    customers = _customers(fleet)
    slices = (_SLICE.fullmatch(name) for name in cgroups.children(_USERS))
    uids = sorted(uid for each in slices if each and (uid := int(each[1])) in customers)
    alive = [uid for uid in uids if cgroups.populated(f"{_USERS}/user-{uid}.slice/user@{uid}.service")]
    if not alive:
        return Check("user managers", Verdict.OK, "no customer has a user manager")
    found = f"running outside the tree: those of {_shortened([customers[uid] for uid in alive])}"
    return Check("user managers", Verdict.FAILED, found, f"systemctl stop {' '.join(f'user@{uid}' for uid in alive)}")


def _customers(fleet: Fleet) -> dict[int, str]:
    users = (user for account in fleet.accounts.values() for user in account.uids.items())
    return {uid: name for name, uid in users if fleet.governs(uid)}


def _shortened(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
