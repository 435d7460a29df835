"""The machine: kernel, controllers, delegation, units, schedule, rights."""

import os
from collections.abc import Iterator

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.location import find_tree
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.linux.system import mounts, schedule, systemd
from paas_isolate.linux.system.schedule import Way
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.knobs import CONTROLLERS, DEFAULTS
from paas_isolate.model.left import compiled

OLDEST_KERNEL = (5, 14)
"""cgroup.kill came with it; memory.reclaim with 5.19."""

_SHOWN = 5
"""Cgroups that a message names."""

SUPPORTED = {"debian": ("12", "13")}


def examine(fleet: Fleet, etc: str, state: str) -> Iterator[Check]:
    yield _distribution()
    yield _kernel()
    yield from _hierarchy()
    yield from _tree(fleet)
    yield from _units(fleet)
    yield from _schedule(state)
    yield _specifications(etc)
    yield from _limits_in_use(fleet)
    yield from _left(fleet)


def _distribution() -> Check:
    release = _os_release()
    name = release.get("PRETTY_NAME", "unknown")
    if release.get("VERSION_ID") in SUPPORTED.get(release.get("ID", ""), ()):
        return Check("distribution", Verdict.OK, name)
    found = f"{name}: only Debian 12 and 13 are tested; to try what this machine keeps:"
    return Check("distribution", Verdict.SKIPPED, found, "paas-isolate doctor --selftest")


def _os_release() -> dict[str, str]:
    try:
        with open("/etc/os-release", encoding="utf-8") as lines:
            pairs = (line.rstrip("\n").partition("=") for line in lines)
            return {key: value.strip('"') for key, _, value in pairs}
    except FileNotFoundError:
        return {}


def _kernel() -> Check:
    release = os.uname().release
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if version >= OLDEST_KERNEL:
        return Check("kernel", Verdict.OK, release)
    return Check("kernel", Verdict.FAILED, f"{release}; cgroup.kill needs 5.14", "apt full-upgrade && reboot")


def _hierarchy() -> Iterator[Check]:
    try:
        mount = mounts.cgroup2()
    except HostError as error:
        yield Check("cgroup2", Verdict.FAILED, str(error).splitlines()[0], error.hint)
        return
    with CgroupTree(mount.point, mount.point) as cgroups:
        offered = (cgroups.read("", "cgroup.controllers") or "").split()
    missing = [name for name in CONTROLLERS if name not in offered]
    if missing:
        mend = "add systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all to the kernel's command line, and reboot"
        yield Check("controllers", Verdict.FAILED, f"{mount.point} lacks {' '.join(missing)}", mend)
    else:
        yield Check("controllers", Verdict.OK, f"{' '.join(CONTROLLERS)} at {mount.point}")
    yield _favordynmods(mount)


def _favordynmods(mount: mounts.Mount) -> Check:
    """Without it a move, so a login, waits for an RCU grace period (facts of Linux 6.0 on)."""
    if "favordynmods" in mount.options:
        return Check("favordynmods", Verdict.OK, "moving a process is quick; forks and exits cost a little more")
    mend = f"mount -o remount,favordynmods {mount.point}"
    return Check("favordynmods", Verdict.SKIPPED, "off: moving a process takes some 10 ms; to make it 1 ms", mend)


def _tree(fleet: Fleet) -> Iterator[Check]:
    try:
        location = find_tree(fleet.host.tree)
    except HostError as error:
        yield Check("tree", Verdict.FAILED, str(error).splitlines()[0], error.hint)
        return
    with CgroupTree(location.mount, location.root) as cgroups:
        offered = (cgroups.read("", "cgroup.controllers") or "").split()
        occupied = cgroups.pids("")
    missing = [name for name in CONTROLLERS if name not in offered]
    if missing:
        parent = os.path.dirname(location.root)
        unit = fleet.host.tree.unit
        mend = (
            f"echo '{' '.join('+' + name for name in missing)}' > {parent}/cgroup.subtree_control"
            if fleet.host.tree.root
            else f"systemctl edit {unit}: Delegate={' '.join(CONTROLLERS)}, then systemctl restart {unit}"
        )
        yield Check("delegation", Verdict.FAILED, f"{location.root} lacks {' '.join(missing)}", mend)
    elif occupied:
        found = f"processes run in {location.root} itself, which must hold none: {' '.join(map(str, occupied[:5]))}"
        yield Check("delegation", Verdict.FAILED, found, f"systemctl restart {fleet.host.tree.unit}")
    else:
        yield Check("delegation", Verdict.OK, f"{' '.join(CONTROLLERS)} in {location.root}")


def _units(fleet: Fleet) -> Iterator[Check]:
    if fleet.host.tree.root:
        yield Check("units", Verdict.SKIPPED, "config.yaml sets tree.root: no unit is needed")
        return
    if not systemd.running():
        yield Check("units", Verdict.FAILED, "systemd does not run here", "set tree.root in config.yaml")
        return
    unit = fleet.host.tree.unit
    wanted = {
        unit: ("ActiveState", "active", _mend_of_tree(fleet)),
        "paas-isolate-boot.service": ("UnitFileState", "enabled", "systemctl enable paas-isolate-boot.service"),
        "paas-isolate-shutdown.service": (
            "ActiveState",
            "active",
            "systemctl enable --now paas-isolate-shutdown.service",
        ),
    }
    for name, (key, value, mend) in wanted.items():
        found = systemd.properties(name, key).get(key, "")
        verdict = Verdict.OK if found == value else Verdict.FAILED
        yield Check(name, verdict, found or "not installed", "" if verdict is Verdict.OK else mend)


def _mend_of_tree(fleet: Fleet) -> str:
    """The mend for a stopped unit. systemd before 254 cannot start it while customers are inside (219/CGROUP)."""
    try:
        find_tree(fleet.host.tree)
    except HostError:
        return f"systemctl start {fleet.host.tree.unit}"
    return "limits hold and reconcile works; the unit comes back when no customer is left in the tree, or by a reboot"


def _schedule(state: str) -> Iterator[Check]:
    """Whether anything reconciles; all three together are harmless (one lock)."""
    by = [way for way in Way if (schedule.cron_is_on(state) if way is Way.CRON else _is_active(schedule.UNITS[way]))]
    if by:
        yield Check("schedule", Verdict.OK, f"reconcile runs by {' and '.join(by)}")
    else:
        found = "neither the timer nor cron nor the daemon runs reconcile"
        yield Check("schedule", Verdict.FAILED, found, "paas-isolate enable timer")


def _is_active(unit: str) -> bool:
    return systemd.running() and systemd.properties(unit, "ActiveState")["ActiveState"] == "active"


def _specifications(etc: str) -> Check:
    try:
        found = os.stat(etc)
    except FileNotFoundError:
        return Check("specifications", Verdict.FAILED, f"{etc} is missing", f"mkdir -p {etc}/accounts.d {etc}/plans.d")
    if found.st_uid != 0 or found.st_mode & 0o022:
        mend = f"chown root: {etc}; chmod go-w {etc}"
        return Check("specifications", Verdict.FAILED, f"users other than root may write {etc}", mend)
    if wide := [path for path in (f"{etc}/accounts.d", f"{etc}/plans.d") if _is_open_to_others(path)]:
        text = f"everybody may look into {' and '.join(wide)}, where `environment` may hold secrets"
        return Check("specifications", Verdict.FAILED, text, f"chmod o-rwx {' '.join(wide)}")
    return Check("specifications", Verdict.OK, f"{etc} is root's alone")


def _is_open_to_others(directory: str) -> bool:
    try:
        return bool(os.stat(directory).st_mode & 0o007)
    except OSError:
        return False


def _limits_in_use(fleet: Fleet) -> Iterator[Check]:
    """Knobs that this kernel does not have."""
    try:
        location = find_tree(fleet.host.tree)
    except HostError:
        yield Check("knobs", Verdict.SKIPPED, "there is no tree")
        return
    with CgroupTree(location.mount, location.root) as cgroups:
        if not cgroups.exists(tree.USERS):
            yield Check("knobs", Verdict.SKIPPED, "the tree is empty", "paas-isolate reconcile")
            return
        offered = cgroups.files(tree.USERS)
    missing = [knob for knob in DEFAULTS if knob not in offered]
    if not missing:
        yield Check("knobs", Verdict.OK, f"all {len(DEFAULTS)}")
    else:
        found = f"this kernel has no {', '.join(missing)}: limits that need them are refused by name"
        yield Check("knobs", Verdict.SKIPPED, found)


def _left(fleet: Fleet) -> Iterator[Check]:
    """Processes under customers' uids that `users.leave` exempts: no limit of an account holds them."""
    pattern = compiled(fleet.host.leave)
    pids = (pid for pid, uid in procfs.effective_uids() if fleet.governs(uid))
    found = sorted({path for pid in pids if pattern and (path := procfs.cgroup(pid) or "") and pattern.fullmatch(path)})
    if found:
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        text = f"processes of customers' users stay where root put them: {', '.join(found[:_SHOWN])}{more}"
        yield Check("left", Verdict.OK, text)
