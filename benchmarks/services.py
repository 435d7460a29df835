"""How long until a service's program runs: started by paas-run, beside paas-enter, systemd-run, crun and podman.

All start the same small static program, which notes when its main began; every round in a new order. What only one kind
needs (its interpreter, its D-Bus, its image) counts as it does in use: the reconciler starts a service from a process
that runs already, the others are programs that one calls.
"""

import json
import os
import pwd
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import table
from benchmarks.ground import Place, cgroups, native, user

PROGRAM = Path(__file__).with_name("begun.c")
ACCOUNT = "bench"
ROUNDS, FEWER = 50, 15
"""Rounds here, and in the test machine, where podman takes seconds."""
WITHIN = 30.0
TARGET = 1.5
CONTROLLERS = "+memory +pids"
LEAVES = (ACCOUNT, f"{ACCOUNT}/login", f"{ACCOUNT}/web")
LAUNCHER = "paas-enter, the C launcher alone"
OURS = "paas-run, as the reconciler begins a service"


@dataclass(frozen=True)
class Start:
    """Milliseconds from the request to the program's first instruction: the median (`middle`), and what nine of ten are
    below (`ninth`). `ratio` is to the C launcher's median."""

    what: str
    middle: float
    ninth: float
    ratio: float


Begin = Callable[[Path], None]


def starts(where: Place, say: Callable[[str], None]) -> list[Start]:
    """Needs root and gcc with a static libc. What is not installed is left out, and `say` is told so."""
    with ExitStack() as undo:
        place = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="paas-bench-")))
        place.chmod(0o755)
        customer = undo.enter_context(user(where))
        kinds = dict(_kinds(place, where, customer, undo, say))
        taken: dict[str, list[float]] = {what: [] for what in kinds}
        notes = place / "notes"
        notes.mkdir()
        notes.chmod(0o777)
        for number in range(FEWER if where.limited else ROUNDS):
            for what, begin in random.sample(sorted(kinds.items()), len(kinds)):
                taken[what].append(_once(begin, notes / f"{number}"))
    floor = median(taken[LAUNCHER])
    return [_start(what, times, floor) for what, times in taken.items()]


def _start(what: str, times: list[float], floor: float) -> Start:
    times.sort()
    return Start(what, median(times), times[len(times) * 9 // 10], median(times) / floor)


def report(where: Place, say: Callable[[str], None]) -> table.Report:
    measured = starts(where, say)
    head = ("from asking to the first instruction", "median, ms:", "90 of 100 below:", "to the launcher:", "target")
    lines = (
        (
            *(start.what, f"{start.middle:.2f}", f"{start.ninth:.2f}", f"{start.ratio:.2f}"),
            f"at most {TARGET}" if start.what == OURS else "",
        )
        for start in measured
    )
    return table.Report(table.grid(head, lines), {"rows": measured})


def _once(begin: Begin, note: Path) -> float:
    """Milliseconds. `begin` starts the program, which writes its clock into `note`."""
    asked = time.monotonic_ns()
    begin(note)
    end = time.monotonic() + WITHIN
    while not (note.exists() and (text := note.read_text()).endswith("\n")):
        if time.monotonic() > end:
            raise RuntimeError(f"nothing has begun after {WITHIN:.0f} s")
        time.sleep(0.001)
    note.unlink()
    return (int(text) - asked) / 1e6


def _kinds(
    place: Path, where: Place, customer: pwd.struct_passwd, undo: ExitStack, say: Callable[[str], None]
) -> Iterator[tuple[str, Begin]]:
    program = place / "rootfs" / "begun"
    program.parent.mkdir()
    subprocess.run(["gcc", "-O2", "-static", "-o", program, PROGRAM], check=True)
    native(place, "paas-enter", "paas-run")
    leaf = _limited(where, undo.enter_context(cgroups(where, "service", *LEAVES)))
    yield LAUNCHER, _by_launcher(place, customer, leaf, program)
    yield OURS, _by_us(place, customer, leaf, program)
    if not where.limited:
        return
    if Path("/run/systemd/system").is_dir():
        limits = ("-p", "MemoryMax=64M", "-p", "TasksMax=20")
        words = ("systemd-run", "--quiet", "--collect", f"--uid={customer.pw_name}", *limits, str(program))
        yield "systemd-run", lambda note: _run(*words, str(note))
    for name, of in (("crun", _by_crun), ("podman", _by_podman)):
        if shutil.which(name):
            yield f"{name} run", of(place, customer)
        else:
            say(f"{name} is not installed: left out")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _by_launcher(place: Path, user: pwd.struct_passwd, leaf: Path, program: Path) -> Begin:
    doors = place / "doors"
    doors.mkdir()
    (doors / ".complete").touch()
    (doors / str(user.pw_uid)).symlink_to(leaf.parent / "login")
    words = (str(place / "build/paas-enter"), "--doors", str(doors), "--user", user.pw_name, f"{ACCOUNT}/web", "--")
    return lambda note: _run(*words, str(program), str(note))


def _by_us(place: Path, user: pwd.struct_passwd, leaf: Path, program: Path) -> Begin:
    """With a log of its own and the journal, as every service has."""
    from paas_isolate.linux.services import launch
    from paas_isolate.model.service_program import Launch

    launch.LAUNCHER = str(place / "build/paas-run")
    log = place / "logs"
    log.mkdir()
    os.chown(log, user.pw_uid, user.pw_gid)
    directory = os.open(leaf, os.O_RDONLY | os.O_DIRECTORY)

    def begin(note: Path) -> None:
        record = os.open(place / "record", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        command = f"exec {program} {note}"
        of = Launch(ACCOUNT, "web", 1, user.pw_name, user.pw_uid, command=command, directory="/", log=f"{log}/web.log")
        launch.launch(of, directory, record, "")
        os.close(record)

    return begin


def _by_crun(place: Path, user: pwd.struct_passwd) -> Begin:
    bundle = place / "bundle"
    bundle.mkdir()
    _run("sh", "-c", f"cd {bundle} && crun spec")
    config = json.loads((bundle / "config.json").read_text())
    config["root"] = {"path": str(place / "rootfs"), "readonly": True}
    config["process"] |= {"terminal": False, "user": {"uid": user.pw_uid, "gid": user.pw_gid}}
    config["mounts"].append({"destination": "/notes", "source": str(place / "notes"), "options": ["bind", "rw"]})
    config["linux"]["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 20}}
    numbers = iter(range(1 << 30))

    def begin(note: Path) -> None:
        config["process"]["args"] = ["/begun", f"/notes/{note.name}"]
        (bundle / "config.json").write_text(json.dumps(config))
        _run("crun", "run", "--bundle", str(bundle), f"paas-bench-{os.getpid()}-{next(numbers)}")

    return begin


def _by_podman(place: Path, user: pwd.struct_passwd) -> Begin:
    """From a directory, so that no image is unpacked, and without a network of its own: both would take longer."""
    limits = ("--memory", "64m", "--pids-limit", "20", "--network", "none", "--user", f"{user.pw_uid}:{user.pw_gid}")
    words = ("podman", "run", "--rm", "--quiet", *limits, "--volume", f"{place}/notes:/notes")
    return lambda note: _run(*words, "--rootfs", str(place / "rootfs"), "/begun", f"/notes/{note.name}")


def _limited(where: Place, root: Path) -> Path:
    """The leaf `web` of an account, with limits where the kernel has them; beside it is `login`."""
    leaf = root / ACCOUNT / "web"
    if where.limited:
        for path in (root, root / ACCOUNT):
            (path / "cgroup.subtree_control").write_text(CONTROLLERS)
        (leaf / "memory.max").write_text(str(64 << 20))
        (leaf / "pids.max").write_text("20")
    return leaf
