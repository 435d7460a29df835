"""The test machine: the kernel's files, processes, units."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.waiting import wait_for

HOSTNAME = "paas-test"
DAEMON = "paas-isolate-daemon.service"
TREE = Path("/sys/fs/cgroup/paas.slice/paas-tree.service")
ETC = Path("/etc/paas-isolate")
STATE = Path("/var/lib/paas-isolate")
SAMPLED = Path("/run/paas-isolate/sampled")


def knob(path: str, name: str) -> str:
    """A knob of the tree as the kernel prints it: `knob("users/alice", "memory.max")`."""
    return (TREE / path / name).read_text().rstrip("\n")


def write_knob(path: str, name: str, text: str) -> None:
    """A change by hand, past the product."""
    (TREE / path / name).write_text(text)


def figures(path: str, name: str) -> dict[str, int]:
    """A file of `name value` lines: `figures("users/alice", "memory.events")["oom_kill"]`."""
    return {key: int(value) for key, value in (line.split() for line in knob(path, name).splitlines())}


def io_figures(path: str, device: str) -> dict[str, int]:
    """One device's line of io.stat; {} where nothing has been read or written."""
    for line in knob(path, "io.stat").splitlines():
        first, *rest = line.split()
        if first == device:
            return {key: int(value) for key, _, value in (word.partition("=") for word in rest)}
    return {}


def pids_in(path: str) -> list[int]:
    return [int(pid) for pid in knob(path, "cgroup.procs").split()]


def accounts() -> set[str]:
    """The account directories that the kernel has."""
    return {entry.name for entry in (TREE / "users").iterdir() if entry.is_dir()}


def cgroup_of(pid: int) -> str:
    """Where a process is: a path of the tree (`users/alice/web`), or an absolute one outside of it; '' if it ended."""
    try:
        path = Path(f"/proc/{pid}/cgroup").read_text().removeprefix("0::").rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    inside = f"/{TREE.relative_to('/sys/fs/cgroup')}/"
    return path.removeprefix(inside)


def is_confined(pid: int) -> bool:
    return not cgroup_of(pid).startswith("/")


def uids_of(pid: int) -> set[int]:
    """Real, effective, saved and file system uid; empty when it has ended or is a zombie."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return set()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return set() if fields["State"].startswith("Z") else set(map(int, fields["Uid"].split()))


def is_alive(pid: int) -> bool:
    return bool(uids_of(pid))


def pids_of(*uids: int) -> list[int]:
    """Every process that runs as one of these now, zombies left out."""
    found = []
    for name in os.listdir("/proc"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if name.isdecimal() and os.stat(f"/proc/{name}").st_uid in uids and is_alive(int(name)):
                found.append(int(name))
    return found


def tree_can_be_stopped() -> bool:
    """Before systemd 254 (Debian 12) it could not be started again with customers inside, and refuses."""
    return systemctl("show", "--property=RefuseManualStop", "--value", "paas-tree.service") == "no"


def share_of_a_core(paths: list[str], seconds: float) -> list[float]:
    """The CPU time of cgroups while some seconds pass, in percent of one core."""
    begin, before = _cpu_times(paths)
    time.sleep(seconds)
    end, after = _cpu_times(paths)
    return [(late - early) / (end - begin) / 1e4 for early, late in zip(before, after, strict=True)]


def _cpu_times(paths: list[str]) -> tuple[float, list[int]]:
    """With the time at which they were so: asked again when this process was held up between the two."""
    for _ in range(50):
        asked = time.monotonic()
        used = [figures(path, "cpu.stat")["usage_usec"] for path in paths]
        told = time.monotonic()
        if told - asked < 0.02:
            break
    return (asked + told) / 2, used


def comes_to_rest(unit: str) -> None:
    """A oneshot has ended, and is not tried again either."""
    wait_for(lambda: systemctl("is-active", unit) != "activating", what=f"{unit} has ended", deadline=60)


def systemctl(*words: str) -> str:
    return subprocess.run(["systemctl", *words], capture_output=True, text=True).stdout.strip()


def run(*words: str, stdin: str = "") -> str:
    """What a program of this machine says; the test fails when it does not succeed."""
    done = subprocess.run(words, input=stdin, text=True, capture_output=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def daemon(*, accounts: int) -> Iterator[None]:
    """Ready it is as soon as it hears; its status tells that it has looked at so many accounts."""
    systemctl("start", DAEMON)
    try:
        wait_for(lambda: has_looked(accounts), what="it has looked at everything for the first time", deadline=60)
        yield
    finally:
        systemctl("stop", DAEMON)


def sampled() -> None:
    """Waits until the daemon has taken a sample: what limits were hit before the first one is nobody's news."""
    SAMPLED.unlink(missing_ok=True)
    wait_for(
        lambda: SAMPLED.exists() and SAMPLED.read_text().endswith(" daemon\n"), what="a sample was taken", deadline=90
    )


def has_looked(accounts: int) -> bool:
    told = systemctl("show", "--property=StatusText", "--value", DAEMON)
    return told == f"{accounts} account" + "s" * (accounts != 1)
