"""What opening a session costs: without our PAM module, with it, and with what one would take instead.

Each session is a process of its own that calls pam_open_session(3) once, after its modules were loaded, as in a login.
Every round tries all kinds, in a new order. In the test machine it is measured with favordynmods and without.
"""

import pwd
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from statistics import median

from benchmarks import table
from benchmarks.ground import SOURCE, Place, cgroups, native, user

SESSION = SOURCE / "tests/support/kernel/session.c"
SERVICE = "sshd"
ROUNDS = 200
PERMIT = "session required pam_permit.so\n"


@dataclass(frozen=True)
class Cost:
    """Microseconds of pam_open_session(3): the median (`middle`), and what nine of ten stay below (`ninth`)."""

    what: str
    favordynmods: bool
    middle: float
    ninth: float


def costs(where: Place, rounds: int, say: Callable[[str], None]) -> list[Cost]:
    """Needs root, gcc, libpam's headers and make; a user of its own where useradd may make one (with controllers)."""
    with tempfile.TemporaryDirectory() as directory, cgroups(where, "login") as leaf, user(where) as customer:
        place = Path(directory)
        place.chmod(0o755)
        stacks = _stacks(place, leaf, customer)
        measured = list(_measured(place, stacks, customer.pw_name, rounds, favordynmods=_favoured(where)))
        if where.limited:
            say("logins: the same with favordynmods changed ...")
            with _changed(where):
                measured += _measured(place, stacks, customer.pw_name, rounds, favordynmods=_favoured(where))
    return measured


def report(where: Place, say: Callable[[str], None]) -> table.Report:
    measured = costs(where, ROUNDS, say)
    lines = (
        (cost.what, "on" if cost.favordynmods else "off", f"{cost.middle:.0f}", f"{cost.ninth:.0f}")
        for cost in measured
    )
    head = ("pam_open_session, µs", "favordynmods", "median:", "90 of 100 below:")
    return table.Report(table.grid(head, lines), {"rows": measured})


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


def _stacks(place: Path, leaf: Path, customer: pwd.struct_passwd) -> dict[str, str]:
    """What is measured -> its directory of PAM configurations, for pam_start_confdir(3)."""
    subprocess.run(["gcc", "-O2", "-o", place / "session", SESSION, "-lpam"], check=True)
    doors = place / "doors"
    doors.mkdir()
    (doors / ".complete").touch()
    uid = customer.pw_uid
    (doors / str(uid)).symlink_to(leaf)
    script = place / "enter"
    script.write_text(f'#!/bin/sh\n[ "$PAM_TYPE" != open_session ] || echo $PPID >{leaf}/cgroup.procs\n')
    script.chmod(0o755)
    module = native(place, "all") / "pam_paas_isolate.so"
    ours = f"{module} doors={doors} first_uid={min(uid, 1000)} last_uid={max(uid, 59999)}"
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


FAVOUR = "favordynmods"


def _favoured(where: Place) -> bool:
    return FAVOUR in _options(where)


def _options(where: Place) -> list[str]:
    """The hierarchy's own mount options (proc_pid_mountinfo(5), the last field)."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        (line,) = (line for line in mounts if line.split()[4] == str(where.hierarchy) and " - cgroup2 " in line)
    return line.split()[-1].split(",")


@contextmanager
def _changed(where: Place) -> Iterator[None]:
    def turn(options: list[str]) -> None:
        # mount(8) adds the options that are set already, unless a source is named
        subprocess.run(["mount", "-o", f"remount,{','.join(options)}", "cgroup2", where.hierarchy], check=True)

    before = _options(where)
    turn([option for option in before if option != FAVOUR] + [FAVOUR] * (FAVOUR not in before))
    try:
        yield
    finally:
        turn(before)
