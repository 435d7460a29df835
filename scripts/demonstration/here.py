"""This machine as the target: a scratch tree, files and users of its own, all removed afterwards."""

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from testbed.host import SOURCE
from testbed.progress import Progress
from testbed.waiting import until

from demonstration import examples, fitness
from demonstration.facts import DemonstrationError, UnfitError
from demonstration.target import Answer, Target

CONFIG = """\
tree:
  root: {root}
users:
  without_account: leave
default_plan: small
"""

# The shell moves itself: systemd before 254 cannot start the first process below the unit's own cgroup.
ANCHOR = "cd {root}; mkdir anchor && echo $$ >anchor/cgroup.procs && exec sleep infinity"


class Here(Target):
    def __init__(self, mark: str, root: Path, place: Path, progress: Progress) -> None:
        self.tree = str(root)
        self.place = place
        self.progress = progress
        self.etc = str(place / "etc")
        self.lock = str(place / "run/lock")
        directories = (("--etc", self.etc), ("--state", str(place / "state")), ("--run", str(place / "run")))
        options = (word for pair in directories for word in pair)
        self.paas = (str(place / "venv/bin/paas-isolate"), *options)
        self.names = {name: f"{mark}-{name}" for name in examples.accounts()}
        self.ports = dict(zip(self.names, _free_ports(len(self.names)), strict=True))
        self.users: list[str] = []

    @property
    def excused(self) -> str:
        return "schedule"

    def execute(self, script: str, *, patience: float) -> Answer:
        line = ["bash", "-c", 'eval "$(cat)" </dev/null']
        # In a session of its own, all its processes can be killed at a timeout or Ctrl-C.
        child = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd="/",
        )
        try:
            out, err = child.communicate(script, timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            return Answer(124, out, err, 0.0)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        return Answer(child.returncode, out, err, 0.0)

    def install(self) -> str:
        begin = time.monotonic()
        venv = self.place / "venv"
        with self.progress.stage("a Python environment of its own, with this tree's product"):
            _done([sys.executable, "-m", "venv", str(venv)])
            pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _done([*pip, str(SOURCE)])
        for name in ("plans.d", "accounts.d"):
            (self.place / "etc" / name).mkdir(parents=True)
        self.write({"config.yaml": CONFIG.format(root=self.tree)})
        self.write({f"plans.d/{name}.yaml": text for name, text in examples.plans().items()})
        for name in ("state", "run"):
            (self.place / name).mkdir(mode=0o700)
        took = time.monotonic() - begin
        return f"built and installed in {took:.0f} s, below {self.place}; the scratch tree is {self.tree}"

    def hold_schedule(self) -> None:
        """Nothing runs reconcile in a scratch tree."""

    def add_users(self, users: list[str]) -> None:
        for user in users:
            self.users.append(user)
            _done(["useradd", "--create-home", "--home-dir", f"/home/{user}", "--shell", "/bin/bash", user])

    def remove_users(self) -> None:
        for user in self.users:
            _kill_all_of(user)
            subprocess.run(["userdel", "--force", "--remove", user], capture_output=True)

    def reboot(self) -> float:
        raise DemonstrationError("this machine is not rebooted for a demonstration")


@contextmanager
def here(progress: Progress) -> Iterator[Here]:
    if missing := list(fitness.what_is_missing()):
        raise UnfitError("this machine is not fit for --here. It lacks:\n" + "".join(f"  - {one}\n" for one in missing))
    mark = f"try{secrets.token_hex(2)}"
    with ExitStack() as undo:
        place = Path(tempfile.mkdtemp(prefix="paas-isolate-try-"))
        undo.callback(shutil.rmtree, place, ignore_errors=True)
        root = undo.enter_context(_delegated(mark) if fitness.runs_systemd() else _directory(mark))
        target = Here(mark, root, place, progress)
        undo.callback(target.remove_users)
        # A second Ctrl-C would interrupt the cleaning up.
        undo.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        yield target


def _hierarchy() -> Path:
    return fitness.cgroup2_mount(Path("/proc/self/mountinfo").read_text()) or Path("/sys/fs/cgroup")


@contextmanager
def _delegated(mark: str) -> Iterator[Path]:
    """The cgroup of a transient systemd unit that is delegated to the demonstration."""
    unit = f"paas-{mark}.service"
    root = _hierarchy() / "system.slice" / unit
    run = ["systemd-run", "--quiet", "--collect", "--unit", unit, "--slice", "system.slice"]
    run += ["-p", "Delegate=cpu cpuset io memory pids", "-p", "TasksMax=infinity", "-p", "OOMPolicy=continue"]
    anchor = ANCHOR.format(root=shlex.quote(str(root)))
    try:
        _done([*run, "--", "/bin/sh", "-c", anchor.replace("$", "$$")])
        _wait_for(partial(_is_inhabited, root / "anchor"), what=f"the anchor of {unit} starts")
        yield root
    finally:
        _empty(root)
        subprocess.run(["systemctl", "stop", unit], capture_output=True)


@contextmanager
def _directory(mark: str) -> Iterator[Path]:
    """A directory at the top of the hierarchy. Controllers that had to be enabled are disabled again afterwards."""
    mount = _hierarchy()
    control = mount / "cgroup.subtree_control"
    added = fitness.missing_controllers(control.read_text())
    root = mount / f"paas-{mark}"
    try:
        control.write_text(" ".join(f"+{name}" for name in added))
    except OSError as error:
        why = f"{control} does not take {' '.join(added)}: {error.strerror}"
        raise UnfitError(f"this machine is not fit for --here: {why}\n") from None
    try:
        root.mkdir()
        yield root
    finally:
        _empty(root)
        root.rmdir()
        control.write_text(" ".join(f"-{name}" for name in added))


def _empty(root: Path) -> None:
    """Kills the customers' processes and removes their cgroups, children first. systemd ends the anchor."""
    for top in (root / "users", root / "penalty"):
        with suppress(FileNotFoundError):
            (top / "cgroup.kill").write_text("1")
            _wait_for(partial(_is_empty, top), what=f"{top} is empty")
        for path, _, _ in os.walk(top, topdown=False):
            Path(path).rmdir()


def _is_empty(cgroup: Path) -> bool:
    return "populated 0" in (cgroup / "cgroup.events").read_text()


def _is_inhabited(cgroup: Path) -> bool:
    return cgroup.exists() and not _is_empty(cgroup)


def _kill_all_of(user: str) -> None:
    """Twice, because a process may fork between ps and the signal."""
    for _ in range(2):
        listed = subprocess.run(["ps", "-o", "pid=", "-u", user], capture_output=True, text=True).stdout
        for pid in listed.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue


def _wait_for(is_so: Callable[[], bool], *, what: str) -> None:
    if not until(is_so, 20):
        raise DemonstrationError(f"after 20 s it is still not so that {what}")


def _done(line: list[str]) -> None:
    done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        output = done.stdout + done.stderr
        raise DemonstrationError(f"{line[0]} ended with status {done.returncode}: {shlex.join(line)}", output=output)


def _free_ports(number: int) -> list[int]:
    with ExitStack() as undo:  # all open at once, so that no port comes twice
        servers = [undo.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [int(server.getsockname()[1]) for server in servers]
