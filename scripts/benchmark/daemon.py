"""How soon the daemon mends: from the event to the kernel's having it again, many times, with pauses between.

The daemon is a process of its own, on a large fleet; what it does is asked of the kernel in a loop, as somebody else would
see it. Beside it what one would run instead, where the machine has it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmark.fleet import FIRST_UID
from benchmark.ground import Bench, Place, bench, private_mounts

ACCOUNTS = 10_000
ROUNDS = 100
_PATIENCE = 10.0
_STRAY = "import os,time;os.setgroups([]);i={uid};os.setresgid(i,i,i);os.setresuid(i,i,i);time.sleep(60)"


@dataclass(frozen=True)
class Delay:
    """Milliseconds; `target` is for the median and the 99th percentile."""

    what: str
    rounds: int
    middle: float
    late: float
    worst: float
    target: str


@dataclass(frozen=True)
class Upkeep:
    """Of the daemon at rest: seconds until it says READY=1, resident MB, and the share of a core that it takes."""

    accounts: int
    ready: float
    memory: float
    share: float


def measured(where: Place, accounts: int, say: Callable[[str], None]) -> tuple[list[Delay], Upkeep]:
    """Needs root, cgroup2 and the product."""
    private_mounts()
    with bench(where, accounts) as made:
        subprocess.run(made.command("reconcile", "--cron"), check=True)
        with _running(made) as (daemon, ready):
            time.sleep(2)
            say(f"daemon: ready after {ready:.2f} s, {_memory(daemon.pid):.0f} MB")
            delays = list(_delays(made, say))
            upkeep = Upkeep(accounts, ready, _memory(daemon.pid), _share(daemon.pid))
    return delays, upkeep


def markdown(delays: list[Delay], upkeep: Upkeep) -> str:
    lines = [
        f"| event, {upkeep.accounts:,} accounts | rounds | median, ms | 99th percentile | worst | target |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for it in delays:
        lines.append(f"| {it.what} | {it.rounds} | {it.middle:.3g} | {it.late:.3g} | {it.worst:.3g} | {it.target} |")
    rest = f"{upkeep.memory:.0f} MB resident, {upkeep.share * 100:.3f} % of a core at rest"
    return "\n".join([*lines, "", f"The daemon is ready after {upkeep.ready:.2f} s; {rest}."])


def _delays(made: Bench, say: Callable[[str], None]) -> Iterator[Delay]:
    rows: list[tuple[str, Callable[[int], float], int, float, str]] = [
        ("YAML saved, in the kernel", lambda n: _edited(made, n), ROUNDS, 0.05, "5, 20"),
        ("knob changed by hand, mended", lambda n: _knob(made, n), ROUNDS, 0.05, "20, 100"),
        ("a process outside, moved in; one every 0.2 s", lambda n: _stray(made, n), ROUNDS, 0.2, "1, 10"),
        ("a process outside, moved in; one every 3 s", lambda n: _stray(made, n), 20, 3.0, "1, 10"),
        ("of that, one write into cgroup.procs", lambda n: _bare(made, n), 20, 3.0, "the kernel's own"),
    ]
    for what, once, rounds, pause, target in rows:
        taken = []
        for number in range(rounds):
            time.sleep(pause)
            taken.append(once(number) * 1000)
        taken.sort()
        found = Delay(
            what, rounds, median(taken), taken[min(len(taken) - 1, len(taken) * 99 // 100)], taken[-1], target
        )
        say(f"daemon: {found}")
        yield found


def _edited(made: Bench, number: int) -> float:
    """A knob that every kernel has: the account is suspended, or goes on."""
    number = number * 37 % made.fleet.accounts
    path = made.fleet.root / "users" / made.fleet.name(number) / "cgroup.freeze"
    text = (made.fleet.etc / "accounts.d" / f"{made.fleet.name(number)}.yaml").read_text()
    frozen = "suspended" in text
    new = text.replace("suspended: true\n", "") if frozen else text + "suspended: true\n"
    temporary = made.fleet.etc / "accounts.d" / ".new"
    temporary.write_text(new)
    begin = time.perf_counter()
    temporary.rename(made.fleet.etc / "accounts.d" / f"{made.fleet.name(number)}.yaml")
    return _until(lambda: path.read_text() != f"{int(frozen)}\n", begin)


def _knob(made: Bench, number: int) -> float:
    path = made.fleet.root / "users" / made.fleet.name(1 + number * 41 % (made.fleet.accounts - 1)) / "cgroup.freeze"
    was = path.read_text()
    begin = time.perf_counter()
    path.write_text("0" if was == "1\n" else "1")
    return _until(lambda: path.read_text() == was, begin)


def _stray(made: Bench, number: int) -> float:
    """From the moment that it has the customer's uid."""
    number = 2 + number * 43 % (made.fleet.accounts - 2)
    uid = FIRST_UID + number
    leaf = made.fleet.root / "users" / made.fleet.name(number) / "other/cgroup.procs"
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            ours.close()
            theirs.recv(1)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            theirs.send(b"%r" % time.perf_counter())
            theirs.recv(1)
        os._exit(0)
    try:
        theirs.close()
        ours.send(b"!")
        begin = float(ours.recv(99))
        return _until(lambda: leaf.read_text() != "", begin)
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _bare(made: Bench, number: int) -> float:
    """A write of ourselves to where we are, after which nothing is different."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        (here,) = (line[3:].rstrip("\n") for line in file if line.startswith("0::"))
    with open(f"{made.where.hierarchy}{here}/cgroup.procs", "w", encoding="ascii") as procs:
        begin = time.perf_counter()
        procs.write("0")
        procs.flush()
        return time.perf_counter() - begin


def _until(ask: Callable[[], bool], begin: float) -> float:
    while not ask():
        if time.perf_counter() - begin > _PATIENCE:
            raise RuntimeError("it was not mended within a minute")
    return time.perf_counter() - begin


@contextmanager
def _running(made: Bench) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The daemon, and the seconds after which it was ready."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(f"{directory}/notify")
        ready.settimeout(_PATIENCE)
        begin = time.perf_counter()
        with open(f"{directory}/log", "wb") as log:
            daemon = subprocess.Popen(
                made.command("daemon"),
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": f"{directory}/notify"},
            )
        try:
            while b"READY=1" not in ready.recv(999):
                pass
            yield daemon, time.perf_counter() - begin
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(_PATIENCE)
            sys.stderr.write(Path(f"{directory}/log").read_text()[-2000:])


def _memory(pid: int) -> float:
    """Resident, in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS:"))


def _spent(pid: int) -> float:
    """Seconds of CPU time, by the scheduler's clock (proc_pid_schedstat)."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def _share(pid: int, seconds: float = 65.0) -> float:
    """Longer than a minute: a glance is in it."""
    before, begin = _spent(pid), time.monotonic()
    time.sleep(seconds)
    return (_spent(pid) - before) / (time.monotonic() - begin)


__all__ = ["ACCOUNTS", "Delay", "Upkeep", "markdown", "measured", "shutil", "sys"]
