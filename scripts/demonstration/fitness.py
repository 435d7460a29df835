"""Whether this machine is fit to be the target: all that is missing, not only the first thing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

CONTROLLERS = ("cpu", "cpuset", "io", "memory", "pids")
PROGRAMS = {"useradd": "passwd", "userdel": "passwd", "setpriv": "util-linux", "bash": "bash", "setsid": "util-linux"}


def cgroup2_mount(mountinfo: str) -> Path | None:
    """Its mount point, from /proc/self/mountinfo: the fifth field; the type follows ` - ` (proc_pid_mountinfo(5))."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == "cgroup2":
            return Path(before.split(" ")[4])
    return None


def missing_controllers(text: str) -> list[str]:
    offered = text.split()
    return [name for name in CONTROLLERS if name not in offered]


def what_is_missing() -> Iterator[str]:
    if os.geteuid() != 0:
        yield "root: limits, users and processes of others are touched"
    yield from _hierarchy()
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            yield f"the program {program} (Debian package {package})"
    if shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") is None:
        yield "a python3 that every user can start (in /usr/bin)"


def _hierarchy() -> Iterator[str]:
    mount = cgroup2_mount(Path("/proc/self/mountinfo").read_text())
    if mount is None:
        yield "cgroup v2: no cgroup2 is mounted"
        return
    if missing := missing_controllers((mount / "cgroup.controllers").read_text()):
        yield (
            f"cgroup v2 with its controllers: {mount} lacks {' '.join(missing)}"
            " (they are bound to cgroup v1, or not given to this container)"
        )


def runs_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()
