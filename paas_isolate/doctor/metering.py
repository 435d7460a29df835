"""Metering: what cannot be measured on this machine, and why."""

import os
from collections import Counter
from collections.abc import Callable, Iterator

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.location import SLICE, find_tree
from paas_isolate.linux.quota.devices import BlockDevices
from paas_isolate.linux.system import systemd
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet, Tree
from paas_isolate.text import abbreviated, counted

_FIGURES = {
    "cpu": "time throttled",
    "memory": "memory, swap, and what memory limits did",
    "io": "bytes read and written",
    "pids": "processes, and refused forks",
}
"""By controller: what is not measured without it. CPU time needs none."""
_PRESSURE = "/proc/pressure"
_SCHEDULER = "/sys/kernel/sched_ext"
_OOMD = "systemd-oomd.service"


def examine(fleet: Fleet) -> Iterator[Check]:
    """Nothing where metering is off."""
    if fleet.host.metering is None:
        return
    try:
        users = os.path.join(find_tree(fleet.host.tree).root, tree.USERS)
    except HostError:
        return  # another check says that there is no tree
    found = [*controllers(users), *pressure(_PRESSURE), *disks(fleet, BlockDevices().device_of)]
    found += [*scheduler(_SCHEDULER), *killer(fleet.host.tree)]
    yield from found or [Check("metering", Verdict.OK, "all of it can be measured")]


def controllers(users: str) -> Iterator[Check]:
    """What accounts do not have for want of a controller. `users` is the directory above their cgroups."""
    try:
        with open(os.path.join(users, "cgroup.subtree_control"), encoding="ascii") as file:
            enabled = file.read().split()
    except OSError:
        return  # there are no accounts yet
    for name, figures in _FIGURES.items():
        if name not in enabled:
            text = f"the {name} controller is not enabled for accounts; not measured: {figures}"
            yield Check("metering", Verdict.WARNING, text, "paas-isolate reconcile")


def pressure(directory: str) -> Iterator[Check]:
    """Whether the kernel has pressure stall information (psi.rst)."""
    try:
        with open(os.path.join(directory, "cpu"), "rb") as file:
            file.read()
    except OSError:  # EOPNOTSUPP: it is built in, and was not switched on at boot
        text = "the kernel has no pressure stall information; not measured: pressure"
        yield Check("metering", Verdict.WARNING, text, "add psi=1 to the kernel's command line, and reboot")


def disks(fleet: Fleet, device_of: Callable[[str], str]) -> Iterator[Check]:
    """The homes whose IO has no disk that could be told from others."""
    reasons: Counter[str] = Counter()
    example: dict[str, str] = {}
    for account in fleet.accounts.values():
        try:
            device_of(account.home)
        except (HostError, OSError) as error:
            reason = str(error).splitlines()[0].removeprefix(f"{account.home} ")
            reasons[reason] += 1
            example.setdefault(reason, account.home)
    for reason, number in sorted(reasons.items()):
        text = f"{example[reason]} {reason}; not measured: bytes read and written by {counted(number, 'account')}"
        yield Check("metering", Verdict.WARNING, text)


def scheduler(directory: str) -> Iterator[Check]:
    """Whether a BPF scheduler is at work (sched-ext.rst): cpu.max is up to it."""
    if _text(os.path.join(directory, "state")) == "enabled":
        name = _text(os.path.join(directory, "root/ops")) or "a BPF scheduler"
        text = f"{name} (sched_ext) schedules tasks, and may ignore cpu.max: time throttled may be too short"
        yield Check("metering", Verdict.WARNING, text)


def killer(wanted: Tree) -> Iterator[Check]:
    """Whether systemd-oomd(8) may kill processes of accounts: the kernel does not count that."""
    if wanted.root or not systemd.running():
        return
    if systemd.properties(_OOMD, "ActiveState").get("ActiveState") != "active":
        return
    properties = "ManagedOOMSwap", "ManagedOOMMemoryPressure"
    units = [
        unit for unit in ("-.slice", SLICE, wanted.unit) if "kill" in systemd.properties(unit, *properties).values()
    ]
    if units:
        text = f"systemd-oomd kills in {abbreviated(units)}; not counted: what it kills"
        mend = f"systemctl set-property {units[-1]} {' '.join(f'{name}=auto' for name in properties)}"
        yield Check("metering", Verdict.WARNING, text, mend)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
