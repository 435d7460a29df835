"""What it costs to open a session: without our module, with it, and with what one would take instead.

Each session is a process of its own that calls pam_open_session(3) once, the modules loaded before, as in a login; the
kinds in a new order every round. Where this is a machine that is thrown away, with favordynmods and without.
"""

import os
import pwd
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from statistics import median

from benchmarks.ground import Place

SOURCE = Path(__file__).resolve().parents[1]
SESSION = SOURCE / "tests/kernel/session.c"
USER = "paas-bench"
SERVICE = "sshd"
ROUNDS = 200
PERMIT = "session required pam_permit.so\n"


@dataclass(frozen=True)
class Cost:
    """Microseconds of pam_open_session(3), in the middle and for nine of ten."""

    what: str
    favordynmods: bool
    middle: float
    ninth: float


def costs(where: Place, rounds: int, say: Callable[[str], None]) -> list[Cost]:
    """Needs root, gcc, libpam's headers and make; a user of its own where useradd may make one (with controllers)."""
    with tempfile.TemporaryDirectory() as directory, _leaf(where) as leaf, _user(where) as user:
        place = Path(directory)
        place.chmod(0o755)
        stacks = _stacks(place, leaf, user)
        found = list(_measured(place, stacks, user, rounds, favordynmods=_favoured(where)))
        if where.limited:
            say("logins: the same with favordynmods changed ...")
            with _changed(where):
                found += _measured(place, stacks, user, rounds, favordynmods=_favoured(where))
    return found


def markdown(found: list[Cost]) -> str:
    lines = ["| pam_open_session, µs | favordynmods | median | 90 of 100 below |", "| --- | --- | ---: | ---: |"]
    for it in found:
        on = "on" if it.favordynmods else "off"
        lines.append(f"| {it.what} | {on} | {it.middle:.0f} | {it.ninth:.0f} |")
    return "\n".join(lines)


def _measured(place: Path, stacks: dict[str, str], user: str, rounds: int, *, favordynmods: bool) -> Iterator[Cost]:
    taken: dict[str, list[float]] = {what: [] for what in stacks}
    for _ in range(rounds):
        for what, directory in random.sample(sorted(stacks.items()), len(stacks)):
            words = [str(place / "session"), directory, SERVICE, user]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            if done.stdout.partition("\n")[0] != "0":
                raise RuntimeError(f"{what}: no session was opened: {done.stdout}")
            taken[what].append(float(done.stderr.splitlines()[-1]))
    for what, times in taken.items():
        times.sort()
        yield Cost(what, favordynmods, median(times), times[len(times) * 9 // 10])


def _stacks(place: Path, leaf: Path, user: str) -> dict[str, str]:
    """By what they are: a directory of configurations each."""
    subprocess.run(["gcc", "-O2", "-o", place / "session", SESSION, "-lpam"], check=True)
    subprocess.run(["cp", "-r", SOURCE / "pam", place / "build"], check=True)
    subprocess.run(["make", "-s", "-C", place / "build", "clean", "all"], check=True)
    doors = place / "doors"
    doors.mkdir()
    (doors / ".complete").touch()
    uid = pwd.getpwnam(user).pw_uid
    (doors / str(uid)).symlink_to(leaf)
    script = place / "enter"
    script.write_text(f'#!/bin/sh\n[ "$PAM_TYPE" != open_session ] || echo $PPID >{leaf}/cgroup.procs\n')
    script.chmod(0o755)
    ours = f"{place}/build/pam_paas_isolate.so doors={doors} first_uid={min(uid, 1000)} last_uid={max(uid, 59999)}"
    kinds = {
        "no module": "",
        "ours": f"session [success=ok ignore=ignore default=die] {ours}\n",
        "pam_exec with a script of sh": f"session required pam_exec.so {script}\n",
    }
    if Path("/run/systemd/system").is_dir():
        kinds["pam_systemd"] = "session required pam_systemd.so\n"
    if glob("/usr/lib/*/security/pam_cgfs.so"):
        kinds["pam_cgfs of LXC"] = "session required pam_cgfs.so -c freezer,memory,name=systemd\n"
    stacks = {}
    for number, (what, line) in enumerate(kinds.items()):
        confdir = place / f"stack{number}"
        confdir.mkdir()
        (confdir / SERVICE).write_text(line + PERMIT)
        stacks[what] = str(confdir)
    return stacks


@contextmanager
def _leaf(where: Place) -> Iterator[Path]:
    leaf = where.hierarchy / f"paas-bench-login-{os.getpid()}"
    leaf.mkdir()
    try:
        yield leaf
    finally:
        leaf.rmdir()


@contextmanager
def _user(where: Place) -> Iterator[str]:
    """Somebody whom pam_systemd takes for a person; on a machine that is to stay as it is, whoever is there."""
    if not where.limited:
        yield "nobody"
        return
    subprocess.run(["useradd", "--no-create-home", USER], check=True)
    try:
        yield USER
    finally:
        uid = pwd.getpwnam(USER).pw_uid
        with suppress(subprocess.CalledProcessError):
            subprocess.run(["systemctl", "--quiet", "stop", f"user@{uid}.service"], check=True)
        subprocess.run(["userdel", "--force", USER], check=True, capture_output=True)


FAVOUR = "favordynmods"


def _favoured(where: Place) -> bool:
    return FAVOUR in _options(where)


def _options(where: Place) -> list[str]:
    """The hierarchy's own options, as the kernel has them (proc_pid_mountinfo(5), the last field)."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        (line,) = (line for line in mounts if line.split()[4] == str(where.hierarchy) and " - cgroup2 " in line)
    return line.split()[-1].split(",")


@contextmanager
def _changed(where: Place) -> Iterator[None]:
    def turn(options: list[str]) -> None:
        # with a source named, mount(8) takes over no option that is there already
        subprocess.run(["mount", "-o", f"remount,{','.join(options)}", "cgroup2", where.hierarchy], check=True)

    before = _options(where)
    turn([it for it in before if it != FAVOUR] + [FAVOUR] * (FAVOUR not in before))
    try:
        yield
    finally:
        turn(before)
