"""Takes everything of ours off a running machine, before the program goes. Files are the package manager's."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from glob import glob

from paas_isolate.changes.ruleset import TABLE
from paas_isolate.errors import HostError, PaasError
from paas_isolate.installation import Installation
from paas_isolate.linux.bpf.gate.pins import Pins
from paas_isolate.linux.cgroup import emptying
from paas_isolate.linux.cgroup.location import SLICE, find_tree
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.network import nft, traces
from paas_isolate.linux.network.bandwidth import HostBandwidth
from paas_isolate.linux.network.hosts import HostsFile
from paas_isolate.linux.network.links import WAS_OFF, Links
from paas_isolate.linux.pam.profile import MODULE
from paas_isolate.linux.quota.store import QuotaStore
from paas_isolate.linux.system import schedule, systemd
from paas_isolate.linux.system.mounts import mounts
from paas_isolate.model.account import Tree
from paas_isolate.model.network import PINS

_PERMIT = "/run/systemd/system/paas-tree.service.d"
_CONTROL = ("/etc/systemd/system.control", "/run/systemd/system.control")
_AGING = "/run/tmpfiles.d/paas-isolate-private.conf"


def passes_module(directory: str = "/etc/pam.d") -> list[str]:
    """The files with a line that names the PAM module: a login through them is refused when the module is missing."""
    return [path for path in sorted(glob(f"{directory}/*")) if os.path.isfile(path) and _names_module(path)]


def _names_module(path: str) -> bool:
    with open(path, "rb") as lines:
        return any(MODULE.removesuffix(".so").encode() in line and not line.lstrip().startswith(b"#") for line in lines)


def frozen(installation: Installation) -> list[str]:
    """Accounts and services whose processes would run again: those that are frozen, and suspended accounts."""
    return [name for cgroups in _trees(installation) for name in emptying.frozen(cgroups)]


def leave(installation: Installation) -> Iterator[str]:
    """Do it, and tell each part in a sentence. Logins no longer pass the module, and the caller holds the lock.
    HostError where a part fails; those before it are done then."""
    if systemd.running():
        _stop_units()
    _disable_at_boot()
    schedule.disable(schedule.Way.CRON, installation.state)
    for cgroups in _trees(installation):
        if moved := emptying.let_out(cgroups):
            yield f"{moved} processes of customers are out of the tree; they go on, without limits"
    if systemd.running():
        _stop_tree()
        for cgroups in _trees(installation):
            emptying.let_out(cgroups)
    yield from _network(installation)
    if os.path.exists(installation.bandwidth_mark):
        shaped = HostBandwidth(installation.bandwidth_mark).clear()
        yield f"the limits of bandwidth are lifted{' on ' if shaped else ''}{', '.join(shaped)}"
    yield from _views(installation)
    yield from _quotas(installation)
    if systemd.running():
        _forget_properties()


def _trees(installation: Installation) -> Iterator[CgroupTree]:
    """Every tree that there may be: that of the unit, and the one that config.yaml names. Each is open for the caller's
    turn."""
    wanted = [Tree()]
    with suppress(PaasError, OSError):  # it cannot be read, or this is a chroot without /sys
        wanted.append(installation.fleet().host.tree)
    seen = set()
    for each in wanted:
        with suppress(HostError):
            location = find_tree(each)
            if location.root not in seen:
                seen.add(location.root)
                with CgroupTree(location.mount, location.root) as cgroups:
                    yield cgroups


def _stop_units() -> None:
    """No customer's process ends by this: paas-isolate-shutdown.service acts only when the machine goes down."""
    page = (*reversed(schedule.PAGE_UNITS), schedule.LOGINS)
    others = (*schedule.UNITS.values(), schedule.METRICS, "paas-isolate.service", *schedule.ALWAYS[1:])
    with suppress(HostError):  # a unit is missing: systemctl stops the others
        systemd.stop(*page, *others)


def _disable_at_boot() -> None:
    """In a chroot too, where the package has enabled the tree. There may be no systemctl. The page is a package of its
    own: systemctl disables none of several units where one is not installed."""
    for units in ((*schedule.UNITS.values(), schedule.METRICS, *schedule.ALWAYS), schedule.PAGE_UNITS):
        with suppress(HostError, FileNotFoundError):
            systemd.disable_at_boot(*units)


def _stop_tree() -> None:
    """Before systemd 254 the unit refuses to be stopped by hand (paas-tree.service.d/before-254.conf)."""
    refuses = systemd.properties(schedule.TREE, "RefuseManualStop").get("RefuseManualStop") == "yes"
    if refuses:
        os.makedirs(_PERMIT, exist_ok=True)
        with open(f"{_PERMIT}/remove.conf", "w", encoding="ascii") as file:
            file.write("[Unit]\nRefuseManualStop=no\n")
        systemd.reload()
    try:
        with suppress(HostError):  # the unit is missing
            systemd.stop(schedule.TREE)
    finally:
        if refuses:
            shutil.rmtree(_PERMIT, ignore_errors=True)


def _network(installation: Installation) -> Iterator[str]:
    if not installation.traces_of_network():
        return
    Pins(PINS).clear()
    with suppress(HostError, OSError):
        HostsFile().set(())
    links = Links(os.path.join(installation.run, WAS_OFF))
    links.remove(links.observe())
    with suppress(HostError):  # there is no such table
        nft.run(f"delete table {TABLE}")
    traces.forget_installation(installation.run, installation.state)
    yield "the ruleset, the gate and the addresses of customers are removed"


def _views(installation: Installation) -> Iterator[str]:
    """Processes in a view stay in it."""
    with suppress(FileNotFoundError):
        os.unlink(_AGING)
    views = os.path.join(installation.run, "views")
    if any(mount.point == views for mount in mounts()):
        subprocess.run(["umount", "--recursive", "--lazy", views], check=False)
        yield "the views of accounts are removed"


def _quotas(installation: Installation) -> Iterator[str]:
    """A file system that is not mounted keeps its limits, and they stay recorded."""
    if not installation.applied_quotas.there():
        return
    number, left = QuotaStore(installation.applied_quotas).lift_all()
    if number:
        yield f"{number} disk quotas are lifted"
    if left:
        names = ", ".join(f"uid {row.uid} on {row.system}" for row in left)
        yield f"disk quotas that cannot be lifted now, of file systems that are not mounted: {names}"


def _forget_properties() -> None:
    """What reconcile has set with `systemctl set-property`."""
    for control in _CONTROL:
        for unit in (SLICE, schedule.TREE):
            shutil.rmtree(f"{control}/{unit}.d", ignore_errors=True)
        with suppress(OSError):
            os.rmdir(control)
    with suppress(HostError):
        systemd.stop(SLICE)
