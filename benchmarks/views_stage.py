"""views_stage.py ROOT RUN ENTER ACCOUNTS: in a mount namespace of its own, makes views, looks at them, enters them, and
removes them. Prints JSON. Run with the product's Python."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from paas_isolate.linux.cgroup.location import TreeLocation
from paas_isolate.linux.namespaces.namespaces import MountNamespaces
from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.linux.system import mounts
from paas_isolate.model.view import View

LOGINS = 500
MOUNTS = 50


def main(root: str, run: str, enter: str, accounts: int) -> None:
    names = [f"a{number}" for number in range(accounts)]
    namespaces = MountNamespaces(f"{run}/views", TreeLocation(mounts.cgroup2().point, root, ""), f"{run}/aging")
    views = [
        (name, View(True, f"{run}/private/{name}", True, ("/etc/apt", "/etc/ssl", "/etc/pam.d"))) for name in names
    ]
    doors = DoorDirectory(f"{run}/doors", root)
    doors.set("1:view", "view/a0")
    table, memory, mounting = _mounts(), _memory(), _mounting(run)
    figures = {"enter, none": _entering(enter, run, 2)}
    figures["make"] = _took(lambda: _well(namespaces.make(views)))
    figures["memory"] = (_memory() - memory) / accounts
    figures["look"] = _took(lambda: _complete(namespaces, accounts))
    figures["enter"] = _entering(enter, run, 1)
    figures["mounts"] = _mounts() - table
    figures["mounting, none"], figures["mounting"] = mounting, _mounting(run)
    figures["one more"] = _took(lambda: _well(namespaces.make(views[:1])))
    figures["remove"] = _took(lambda: _well(namespaces.remove([(name, view.tmp) for name, view in views])))
    figures["left"] = _mounts() - table
    print(json.dumps(figures))


def _well(errors: list[str]) -> None:
    if any(errors):
        raise SystemExit(next(filter(None, errors)))


def _complete(namespaces: MountNamespaces, accounts: int) -> None:
    if sum(view is not None for view in namespaces.observe().made.values()) != accounts:
        raise SystemExit("not all views are complete")


def _took(work: Callable[[], None]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def _entering(enter: str, run: str, uid: int) -> float:
    """Microseconds, the median."""
    done = subprocess.run([enter, f"{run}/doors", str(uid), str(LOGINS)], capture_output=True, text=True, check=True)
    return median(map(float, done.stdout.split()))


def _mounting(run: str) -> float:
    """Seconds to mount and unmount something on the host, which the kernel propagates to every view."""
    os.makedirs(f"{run}/later", exist_ok=True)
    words = f"for n in $(seq {MOUNTS}); do mount -t tmpfs later {run}/later; umount {run}/later; done"
    begin = time.monotonic()
    subprocess.run(["sh", "-c", words], check=True)
    return (time.monotonic() - begin) / MOUNTS


def _mounts() -> int:
    return len(mounts.mounts())


def _memory() -> int:
    """Bytes of memory that the kernel itself uses."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Slab", "Percpu")))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
