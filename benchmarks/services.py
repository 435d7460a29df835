"""How long until a service's program runs: begun by paas-run, beside paas-enter, systemd-run, crun and podman.

One small static program, which notes when its main began. Each kind begins it once a round, in a new order every round.
What stands in the way of one kind alone (its own interpreter, its D-Bus, its image) counts as it does in use: the
reconciler begins a service from a process that runs already, the others are programs that one calls.
"""

import json
import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.ground import Place

SOURCE = Path(__file__).resolve().parents[1]
PROGRAM = Path(__file__).with_name("begun.c")
USER, ACCOUNT = "paas-bench", "bench"
ROUNDS, FEWER = 50, 15
"""With podman among them, an emulated machine takes seconds a round."""
WITHIN = 30.0
TARGET = 1.5
CONTROLLERS = "+memory +pids"
LAUNCHER = "paas-enter, the C launcher alone"
OURS = "paas-run, as the reconciler begins a service"


@dataclass(frozen=True)
class Start:
    """Milliseconds from asking for it to the program's first instruction, in the middle and for nine of ten; `ratio`
    is to the C launcher."""

    what: str
    middle: float
    ninth: float
    ratio: float


Begin = Callable[[Path], None]


def starts(where: Place, say: Callable[[str], None]) -> list[Start]:
    """Needs root and gcc with a static libc; what is not installed here is left out, and said."""
    with ExitStack() as undo:
        place = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="paas-bench-")))
        place.chmod(0o755)
        user = undo.enter_context(_user(where))
        kinds = dict(_kinds(place, where, user, undo, say))
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


def markdown(found: list[Start]) -> str:
    lines = ["| from asking to the first instruction | median, ms | 90 of 100 below | to the launcher | target |"]
    lines.append("| --- | ---: | ---: | ---: | --- |")
    for it in found:
        target = f"at most {TARGET}" if it.what == OURS else ""
        lines.append(f"| {it.what} | {it.middle:.2f} | {it.ninth:.2f} | {it.ratio:.2f} | {target} |")
    return "\n".join(lines)


def _once(begin: Begin, note: Path) -> float:
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
    place: Path, where: Place, user: pwd.struct_passwd, undo: ExitStack, say: Callable[[str], None]
) -> Iterator[tuple[str, Begin]]:
    program = place / "rootfs" / "begun"
    program.parent.mkdir()
    subprocess.run(["gcc", "-O2", "-static", "-o", program, PROGRAM], check=True)
    subprocess.run(["cp", "-r", SOURCE / "pam", place / "build"], check=True)
    subprocess.run(["make", "-s", "-C", place / "build", "clean", "paas-enter", "paas-run"], check=True)
    leaf = undo.enter_context(_leaf(where))
    yield LAUNCHER, _by_launcher(place, user, leaf, program)
    yield OURS, _by_us(place, user, leaf, program)
    if not where.limited:
        return
    if Path("/run/systemd/system").is_dir():
        limits = ("-p", "MemoryMax=64M", "-p", "TasksMax=20")
        words = ("systemd-run", "--quiet", "--collect", f"--uid={user.pw_name}", *limits, str(program))
        yield "systemd-run", lambda note: _run(*words, str(note))
    for name, of in (("crun", _by_crun), ("podman", _by_podman)):
        if shutil.which(name):
            yield f"{name} run", of(place, user)
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
    """With a log of its own and the journal, as every service."""
    sys.path.insert(0, str(SOURCE))
    from paas_isolate.linux.services import launch
    from paas_isolate.model.service_program import Launch

    launch.LAUNCHERS = (str(place / "build/paas-run"),)
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
    """Of a directory, so that no image has to be unpacked; without a network of its own, which would take longer."""
    limits = ("--memory", "64m", "--pids-limit", "20", "--network", "none", "--user", f"{user.pw_uid}:{user.pw_gid}")
    words = ("podman", "run", "--rm", "--quiet", *limits, "--volume", f"{place}/notes:/notes")
    return lambda note: _run(*words, "--rootfs", str(place / "rootfs"), "/begun", f"/notes/{note.name}")


@contextmanager
def _leaf(where: Place) -> Iterator[Path]:
    """A leaf `web` of an account, with limits where the kernel has them, and beside it `login`."""
    root = where.hierarchy / f"paas-bench-service-{os.getpid()}"
    made = [root, root / ACCOUNT, root / ACCOUNT / "login", root / ACCOUNT / "web"]
    try:
        for path in made:
            path.mkdir()
            if where.limited and path in made[:2]:
                (path / "cgroup.subtree_control").write_text(CONTROLLERS)
        if where.limited:
            (made[-1] / "memory.max").write_text(str(64 << 20))
            (made[-1] / "pids.max").write_text("20")
        yield made[-1]
    finally:
        (root / "cgroup.kill").write_text("1")
        for path in reversed(made):
            for _ in range(100):
                with suppress(FileNotFoundError):
                    if not _removed(path):
                        time.sleep(0.02)
                        continue
                break


def _removed(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


@contextmanager
def _user(where: Place) -> Iterator[pwd.struct_passwd]:
    """Somebody new; on a machine that is to stay as it is, whoever is there."""
    if not where.limited:
        yield pwd.getpwnam("nobody")
        return
    subprocess.run(["useradd", "--no-create-home", USER], check=True)
    try:
        yield pwd.getpwnam(USER)
    finally:
        subprocess.run(["userdel", "--force", USER], check=True, capture_output=True)
