"""How soon the daemon repairs: from the event until the kernel has the right value again, many times, with pauses.

The daemon is a process of its own, on a large fleet; this process polls the kernel for what it does. Where the machine
has them, the programs that one would run instead are measured too.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import NamedTuple

from benchmarks import table
from benchmarks.fleet import FIRST_UID
from benchmarks.ground import Bench, Place, bench, private_mounts

ACCOUNTS = 10_000
CGRULES = "beside it: a process outside, moved in by cgrulesengd; one every 3 s"
ROUNDS = 100
ENOUGH = 100
"""Rounds: with fewer, the 99th percentile is the worst, and is left out."""
NO_FIGHT = 21.0
"""Seconds between rounds: after three repairs of one target in a minute, the daemon stops repairing it."""
_SETTLED = 3.0
"""Seconds before each row, so that the daemon has finished what the row before caused."""
_PATIENCE = 60.0
"""Seconds."""
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Delay:
    """Milliseconds: the median (`middle`), the 99th percentile (`late`) and the worst. `target`: of the first two."""

    what: str
    rounds: int
    middle: float
    late: float
    worst: float
    target: str


@dataclass(frozen=True)
class Upkeep:
    """The daemon at rest: seconds until it is `ready` for events and has `looked` at everything, resident MB, share of
    a core. `others` is the load average before anything was measured."""

    accounts: int
    ready: float
    looked: float
    memory: float
    share: float
    others: float


def accounts(where: Place) -> int:
    """How many: fewer in the test machine, whose emulated kernel would take hours to make all cgroups and limits."""
    return ACCOUNTS // 10 if where.limited else ACCOUNTS


def measured(where: Place, accounts: int, say: Callable[[str], None]) -> tuple[list[Delay], Upkeep]:
    """Needs root, cgroup2 and the product. Leaves this process in mount and network namespaces of its own."""
    private_mounts()
    others = os.getloadavg()[0]
    with bench(where, accounts) as made:
        subprocess.run(made.command("reconcile", "--cron"), check=True)
        with _running(made) as (daemon, ready, looked):
            say(f"daemon: ready after {ready:.2f} s, looked after {looked:.2f} s")
            delays = [_delay(row, say) for row in _rows(made)]
            upkeep = Upkeep(accounts, ready, looked, _memory(daemon.pid), _share(daemon.pid), others)
        delays += [_delay(row, say) for row in _rivals(made)]
        if shutil.which("cgrulesengd") and os.path.exists("/etc/cgrules.conf"):
            with _cgrulesengd(made):
                delays.append(_delay(_Row(CGRULES, partial(_stray, made), 20, 3.0, ""), say))
        _private_network(made)
        say("daemon: the same with a network ...")
        subprocess.run(made.command("reconcile", "--cron"), check=True)
        with _running(made):
            delays += [_delay(row, say) for row in _network_rows(made)]
        _no_network(made)
    return delays, upkeep


def report(where: Place, say: Callable[[str], None]) -> table.Report:
    delays, upkeep = measured(where, accounts(where), say)
    head = (f"event, {upkeep.accounts:,} accounts", "rounds:", "median, ms:", "99th percentile:", "worst:", "target")
    lines = (
        (
            *(delay.what, f"{delay.rounds}", f"{delay.middle:.3g}"),
            *(f"{delay.late:.3g}" if delay.rounds >= ENOUGH else "", f"{delay.worst:.3g}", delay.target),
        )
        for delay in delays
    )
    start = f"The daemon hears after {upkeep.ready:.2f} s, and has looked at everything after {upkeep.looked:.2f}"
    rest = f"{upkeep.memory:.0f} MB resident, {upkeep.share * 100:.3f} % of a core at rest"
    busy = f"Of {os.cpu_count()} cores others wanted {upkeep.others:.1f} when it began"
    return table.Report(f"{table.grid(head, lines)}\n\n{start}; {rest}. {busy}.", {"rows": [*delays, upkeep]})


class _Row(NamedTuple):
    """`once` takes the number of the round, and returns seconds."""

    what: str
    once: Callable[[int], float]
    rounds: int
    pause: float
    target: str


def _rows(made: Bench) -> list[_Row]:
    return [
        _Row("YAML saved, in the kernel", partial(_edited, made), ROUNDS, 0.05, "5, 20"),
        _Row("YAML saved, with a mistake that needs a look at all files", partial(_peered, made), 10, 2.0, ""),
        _Row("knob changed by hand, mended", partial(_knob, made), ROUNDS, 0.05, "20, 100"),
        _Row("a process outside, moved in; one every 0.2 s", partial(_stray, made), ROUNDS, 0.2, "1, 10"),
        _Row("a process outside, moved in; one every 3 s", partial(_stray, made), 20, 3.0, "1, 10"),
        _Row("of that, one write into cgroup.procs", lambda _: _bare(made), 20, 3.0, "the kernel's own"),
    ]


def _rivals(made: Bench) -> list[_Row]:
    """What one would run instead, where it is installed and there are limits."""
    rows = []
    if made.where.limited and os.path.isdir("/run/systemd/system"):
        rows.append(_Row("beside it: systemctl set-property", _property, 20, 0.1, ""))
    return rows


def _property(number: int) -> float:
    """From the command until the kernel has the limit, for a slice that exists."""
    begin = time.perf_counter()
    subprocess.run(["systemctl", "set-property", "--runtime", "system.slice", f"TasksMax={9000 + number}"], check=True)
    limit = "/sys/fs/cgroup/system.slice/pids.max"

    def is_set() -> bool:
        with open(limit, encoding="ascii") as file:
            return file.read() == f"{9000 + number}\n"

    return _until(is_set, begin)


@contextmanager
def _cgrulesengd(made: Bench) -> Iterator[None]:
    """libcgroup's daemon, with a rule for each customer, on the same tree. RuntimeError where it does not start."""
    users = f"{made.fleet.root}/users".removeprefix(f"{made.where.hierarchy}/")
    numbers = range(made.fleet.accounts)
    rules = "".join(f"{made.fleet.name(n)} * {users}/{made.fleet.name(n)}/other\n" for n in numbers)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(rules)
        file.flush()
        subprocess.run(["mount", "--bind", file.name, "/etc/cgrules.conf"], check=True)
        engine = subprocess.Popen(["cgrulesengd", "--nodaemon"], stderr=subprocess.DEVNULL)
        try:
            time.sleep(3)
            if engine.poll() is not None:
                raise RuntimeError("cgrulesengd does not start here")
            yield
        finally:
            engine.terminate()
            engine.wait()
            subprocess.run(["umount", "/etc/cgrules.conf"], check=True)


def _network_rows(made: Bench) -> list[_Row]:
    return [
        _Row("nft table flushed, back", lambda _: _flushed(), 8, NO_FIGHT, "200, 1000"),
        _Row("the route of a pool removed, back", lambda _: _unrouted(), 8, NO_FIGHT, ""),
        _Row("YAML saved, on a machine with a network", partial(_edited, made), ROUNDS, 0.05, "5, 20"),
        _Row("YAML saved, an address of its own", partial(_addressed, made), 10, 3.0, ""),
    ]


def _delay(row: _Row, say: Callable[[str], None]) -> Delay:
    time.sleep(_SETTLED)
    taken = []
    for number in range(row.rounds):
        time.sleep(row.pause)
        taken.append(row.once(number) * 1000)
    taken.sort()
    late = taken[-1 - len(taken) // 100]
    delay = Delay(row.what, row.rounds, median(taken), late, taken[-1], row.target)
    say(f"daemon: {delay}")
    return delay


def _save(made: Bench, number: int, text: str) -> float:
    """Writes an account's file. Returns the time at which it was renamed into place (time.perf_counter)."""
    temporary = made.fleet.etc / "accounts.d" / ".new"
    temporary.write_text(text)
    begin = time.perf_counter()
    temporary.rename(made.fleet.etc / "accounts.d" / f"{made.fleet.name(number)}.yaml")
    return begin


def _toggled(made: Bench, number: int, more: str = "") -> float:
    """Suspends an account, or lets it go on: a change that every kernel can show."""
    path = made.fleet.root / "users" / made.fleet.name(number) / "cgroup.freeze"
    text = (made.fleet.etc / "accounts.d" / f"{made.fleet.name(number)}.yaml").read_text()
    frozen = "suspended" in text
    changed = text.replace("suspended: true\n", "") if frozen else text + "suspended: true\n"
    begin = _save(made, number, changed + more)
    return _until(lambda: path.read_text() != f"{int(frozen)}\n", begin)


def _edited(made: Bench, number: int) -> float:
    """All accounts have even numbers."""
    return _toggled(made, number * 74 % made.fleet.accounts)


def _peered(made: Bench, number: int) -> float:
    """The file cannot be judged alone: it names a peer that does not exist, about which the daemon complains."""
    return _toggled(made, 2 * number, f"peers: [new{number}]\n")


def _flushed() -> float:
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    begin = time.perf_counter()
    return _until(lambda: b"paas_isolate" in _output("nft", "list", "tables"), begin)


def _unrouted() -> float:
    (line, *_) = _output("ip", "-4", "route", "show", "table", "local", "proto", "119").decode().splitlines()
    subprocess.run(["ip", "route", "delete", "table", "local", *line.split()], check=True)
    begin = time.perf_counter()
    address = line.split()[1].partition("/")[0]
    return _until(lambda: b"local " in _output("ip", "route", "get", address), begin)


def _addressed(made: Bench, number: int) -> float:
    """Until the customer can bind the address."""
    address = f"10.77.250.{number + 1}"
    leaf = made.fleet.root / "users" / made.fleet.name(number) / "other/cgroup.procs"
    begin = _save(made, number, f"account: {made.fleet.name(number)}\naddress: {address}\n")
    pid = os.fork()
    if not pid:
        with suppress(BaseException):
            leaf.write_text("0")
            os.setresuid(*[FIRST_UID + number] * 3)
            _until(lambda: _binds(address), begin)
        os._exit(0)
    os.waitpid(pid, 0)
    return time.perf_counter() - begin


def _binds(address: str) -> bool:
    with suppress(PermissionError), socket.socket() as bound:
        bound.bind((address, 0))
        return True
    return False


def _output(*words: str) -> bytes:
    return subprocess.run(words, capture_output=True, check=False).stdout


def _private_network(made: Bench) -> None:
    """From here on this process has a network namespace and a bpffs of its own, which end with it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "-t", "bpf", "bpf", "/sys/fs/bpf"], check=True)
    with open(made.fleet.etc / "config.yaml", "a", encoding="ascii") as config:
        config.write("network: {}\n")


def _no_network(made: Bench) -> None:
    config = made.fleet.etc / "config.yaml"
    config.write_text(config.read_text().replace("network: {}\n", ""))
    subprocess.run(made.command("reconcile", "--cron"), check=True)


def _knob(made: Bench, number: int) -> float:
    path = made.fleet.root / "users" / made.fleet.name(1 + number * 41 % (made.fleet.accounts - 1)) / "cgroup.freeze"
    was = path.read_text()
    begin = time.perf_counter()
    path.write_text("0" if was == "1\n" else "1")
    return _until(lambda: path.read_text() == was, begin)


def _stray(made: Bench, number: int) -> float:
    """From the moment at which a process has the customer's uid until it is in its leaf. The account has an odd number:
    those with even numbers may be suspended, and would stop it."""
    number = (1 + number * 86) % made.fleet.accounts
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


def _bare(made: Bench) -> float:
    """One write of this process's pid to the cgroup that it is in, which changes nothing."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        (own,) = (line[3:].rstrip("\n") for line in file if line.startswith("0::"))
    with open(f"{made.where.hierarchy}{own}/cgroup.procs", "w", encoding="ascii") as procs:
        begin = time.perf_counter()
        procs.write("0")
        procs.flush()
        return time.perf_counter() - begin


def _until(is_so: Callable[[], bool], begin: float) -> float:
    """Seconds since `begin`. RuntimeError where it takes longer than a minute."""
    while not is_so():
        if time.perf_counter() - begin > _PATIENCE:
            raise RuntimeError(f"it was not repaired within {_PATIENCE:.0f} s")
    return time.perf_counter() - begin


@contextmanager
def _running(made: Bench) -> Iterator[tuple[subprocess.Popen[bytes], float, float]]:
    """The daemon, and the seconds until it was ready for events and had looked at everything (sd_notify(3))."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(f"{directory}/notify")
        ready.settimeout(_PATIENCE)
        begin = time.perf_counter()
        with open(f"{directory}/log", "wb") as log:
            daemon = subprocess.Popen(
                ["nice", "-n", "-10", *made.command("daemon")],  # as its unit has it
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": f"{directory}/notify"},
            )
        try:
            is_ready, looked = (
                _after(ready, word, begin) for word in (b"READY=1", b"STATUS=" + b"%d" % made.fleet.accounts)
            )
            yield daemon, is_ready, looked
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(_PATIENCE)


def _after(ready: socket.socket, word: bytes, begin: float) -> float:
    while word not in ready.recv(999):
        pass
    return time.perf_counter() - begin


def _memory(pid: int) -> float:
    """Resident, in MB."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS:"))


def _spent(pid: int) -> float:
    """Seconds of CPU time, by the scheduler's clock (proc_pid_schedstat)."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9


def _share(pid: int, seconds: float = 65.0) -> float:
    """The share of a core, over more than a minute, so that one of its regular looks at everything is included."""
    before, begin = _spent(pid), time.monotonic()
    time.sleep(seconds)
    return (_spent(pid) - before) / (time.monotonic() - begin)
