"""The stage guest: two throwaway machines share its tests, where this one has room for two."""

import os
import shlex
import sys
from collections.abc import Callable
from functools import partial

from testbed.host import SOURCE

from checking.running import SLOWEST, TWICE, Run

_VM = (sys.executable, str(SOURCE / "scripts" / "vm"))
_PYTHON = "/opt/testvenv/bin/python"
ROOM_FOR_TWO = 9 << 30
"""Bytes of memory that are free: a guest has 4 GiB."""

FIRST = (
    "test_foreign_services.py",
    "test_freeze.py",
    "test_jobs.py",
    "test_knobs.py",
    "test_limits.py",
    "test_locked_out.py",
    "test_lower_memory.py",
    "test_metering.py",
    "test_metrics.py",
    "test_network.py",
    "test_own.py",
    "test_own_localhost.py",
    "test_pam.py",
    "test_quotas.py",
    "test_quotas_lifted.py",
    "test_removal.py",
    "test_views.py",
    "test_web.py",
)
"""Files of tests/guest that take as long in all as the others, and the tests from outside, do."""


def marked(marker: str, *, long: bool) -> str:
    return marker if long else f"{marker} and not long"


def guest(run: Run, *, release: str = "trixie", long: bool = False) -> bool:
    """The tests inside the test machine, then those that look at it from outside (reboots)."""
    name = "test" if release == "trixie" else f"test-{release}"
    files = [f"tests/guest/{file}" for file in FIRST]
    others = ["tests/guest", *(f"--ignore={file}" for file in files)]
    faults = inside(
        "kernel", "tests/kernel/passes/test_faults.py", long=long
    )  # there with limits, for it has controllers
    first = f"{inside('guest', *files, long=long)} && {faults}"
    second = inside("guest", *others, long=long)
    after = partial(_machine, long=long)
    if not _has_room_for_two():
        return in_guest(run, name, release, f"{first} && {second}", after)
    parts = {
        f"{name}-1": partial(in_guest, name=f"{name}-1", release=release, script=first),
        f"{name}-2": partial(in_guest, name=f"{name}-2", release=release, script=second, then=after),
    }
    return run.side_by_side(parts)


def in_guest(
    run: Run, name: str, release: str, script: str, then: Callable[[Run, str], bool] = lambda *_: True
) -> bool:
    """Runs a script in the guest's copy of the tree, then `then` from outside, and stops the guest."""
    try:
        return (
            run.call(*_VM, "start", "--release", release, "--name", name)
            and run.call(*_VM, "run", "--name", name, "--", "bash", "-c", f"cd /root/paas-isolate && {script}")
            and then(run, name)
        )
    finally:
        if not os.environ.get("PAAS_ISOLATE_KEEP"):
            run.call(*_VM, "stop", "--name", name)


def inside(marker: str, *tests: str, long: bool) -> str:
    """A command for the guest that runs tests, and failed ones again: some measure, which a busy machine disturbs."""
    return shlex.join([_PYTHON, TWICE, *SLOWEST, "-m", marked(marker, long=long), *tests])


def _machine(run: Run, name: str, *, long: bool) -> bool:
    words = ("-m", marked("machine", long=long), "tests/machine")
    return run.pytest_twice(*words, environment={"PAAS_ISOLATE_GUEST": name})


def _has_room_for_two() -> bool:
    with open("/proc/meminfo") as lines:
        fields = dict(line.split(":", 1) for line in lines)
    free = int(fields["MemAvailable"].split()[0]) << 10
    return free >= ROOM_FOR_TWO and len(os.sched_getaffinity(0)) > 1
