"""Pictures of the processes of an account, taken in a child process: psutil is imported there, and a process that makes
its reader wait holds up nobody else."""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.linux.process import procfs
from paas_isolate.linux.process.child import Child
from paas_isolate.linux.process.commands import CommandKey, CommandReader
from paas_isolate.metering.faults import KILLED, RECENT, Picture, Process

MOST = 100
"""Processes in a picture: those with the most memory."""
_LOOKED_AT = 500
"""Processes that are looked at."""
_COMMAND = 1000
"""Characters of a command line that are kept."""
_LARGEST = 3
"""Accounts that are in the picture where the limit is that of all together."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_STATES = {"R": "running", "S": "sleeping", "D": "disk-sleep", "Z": "zombie", "T": "stopped", "t": "tracing-stop"}
"""psutil's words for those of proc_pid_stat(5)."""


class Subject(NamedTuple):
    """Whose picture it is: `users` is the directory of the accounts' cgroups, `directory` the account's name there ('':
    of those accounts that use most of `knob`), `names` its users by uid."""

    users: str
    directory: str
    names: Mapping[int, str]
    command_lines: bool
    knob: str = "memory.current"


class PictureChild:
    """Takes a picture; `fileno` is readable as it makes progress. OSError when no process can be made."""

    def __init__(self, subject: Subject, before: Sequence[Process]) -> None:
        self._wall = time.time_ns() // 1_000_000
        self._text = b""
        self._child = Child(lambda to: _take(subject, before, to))

    def fileno(self) -> int:
        return self._child.fileno()

    def read(self) -> bool:
        """Read what has come; whether more may come."""
        more = os.read(self._child.fileno(), 1 << 16)
        self._text += more
        return bool(more)

    def end(self) -> Picture | None:
        """The picture, as far as it came: without command lines where those did not come. None where nothing came."""
        self._child.end()
        for line in reversed(self._text.split(b"\n")[:-1]):
            with suppress(ValueError, TypeError):
                processes, before = json.loads(line)
                return Picture(
                    self._wall, tuple(Process(*each) for each in processes), tuple(Process(*each) for each in before)
                )
        return None


def _take(subject: Subject, before: Sequence[Process], to: int) -> None:
    """Answer what takes least time first: psutil may have to be read from a busy disk, and a command line may wait. The
    kernel's log takes 10 ms."""
    directories = [subject.directory] if subject.directory else _largest(subject)
    members_now = list(members(subject.users, directories))[:_LOOKED_AT]
    looks = {process.pid: process for process in before}
    killed: list[Process] = []

    def answer(processes: Iterable[Process]) -> None:
        found = sorted((_since(each, looks.get(each.pid)) for each in processes), key=lambda each: -(each.memory or 0))
        there = {process.pid for process in (*found, *killed)}
        past = killed[-MOST:] + [process for process in before if process.pid not in there]
        _answer(to, found[:MOST], past[:MOST])

    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    glances = [look for pid, directory, leaf in members_now if (look := glance(pid, directory, leaf, now))]
    answer(glances)
    killed += [_known(process, looks.get(process.pid)) for process in _killed(subject)]
    if killed:
        answer(glances)
    described = dict(_described(subject, members_now))
    answer(described.values())
    if subject.command_lines:
        commands = CommandReader().read({str(number): [key] for number, key in enumerate(described)})
        answer(each._replace(command=commands.get(key) or each.command) for key, each in described.items())


def _known(killed: Process, look: Process | None) -> Process:
    return look._replace(state=KILLED, memory=killed.memory) if look else killed


def _since(process: Process, look: Process | None) -> Process:
    """A process with what it has burnt; `look` is how it was seen before, if it was."""
    if process.cpu is None or process.age is None:
        return process
    if look is not None and look.cpu is not None and look.burnt is not None:
        return process._replace(burnt=round(max(0.0, process.cpu - look.cpu + look.burnt), 2))
    return process._replace(burnt=process.cpu) if process.age <= RECENT else process


def _answer(to: int, processes: Sequence[Process], before: Sequence[Process]) -> None:
    rows = [[each._replace(command=each.command[:_COMMAND]) for each in those] for those in (processes, before)]
    with open(to, "wb", closefd=False) as answer:
        answer.write(json.dumps(rows).encode() + b"\n")


def _described(subject: Subject, members_now: Iterable[tuple[int, str, str]]) -> Iterator[tuple[CommandKey, Process]]:
    import psutil  # here alone: the daemon has not loaded it

    now = time.time()
    for pid, directory, leaf in members_now:
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            with process.oneshot():
                times = process.cpu_times()
                uid = process.uids().real
                described = Process(
                    pid,
                    process.name() if len(process.name()) < 15 else procfs.name(pid),
                    directory,
                    leaf,
                    subject.names.get(uid, str(uid)),
                    process.memory_info().rss,
                    round(times.user + times.system, 2),
                    process.status(),
                    round(max(0.0, now - process.create_time()), 1),
                )
            identity = procfs.identity(pid)
            if identity is not None:
                yield CommandKey(pid, identity.start), described


def _largest(subject: Subject) -> list[str]:
    """The accounts that use most."""
    used: dict[str, int] = {}
    with os.scandir(subject.users) as entries:
        for entry in entries:
            with suppress(OSError, ValueError), open(f"{entry.path}/{subject.knob}", "rb") as file:
                used[entry.name] = int(file.read())
    return sorted(used, key=lambda name: -used[name])[:_LARGEST]


def members(users: str, directories: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """The pid, the account's directory and the leaf of each process of these accounts."""
    for directory in directories:
        leaves = []
        with suppress(OSError), os.scandir(os.path.join(users, directory)) as entries:
            leaves = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        for leaf in leaves:
            with suppress(OSError), open(os.path.join(users, directory, leaf, "cgroup.procs"), "rb") as file:
                yield from ((int(pid), directory, leaf) for pid in file.read().split())


def glance(pid: int, directory: str, leaf: str, now: float) -> Process | None:
    """A process by /proc/PID/stat alone, which costs 10 µs. `now` is time.clock_gettime(CLOCK_BOOTTIME)."""
    try:
        file = os.open(f"{procfs.ROOT}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(file, 1024)
    except OSError:
        return None
    finally:
        os.close(file)
    name, _, rest = text.partition(b"(")[2].rpartition(b")")
    words = rest.split()
    if len(words) < 22:
        return None
    return Process(
        pid,
        name.decode(errors="replace"),
        directory,
        leaf,
        "",
        int(words[21]) * _PAGE,
        round((int(words[11]) + int(words[12])) / _TICK, 2),
        _STATES.get(chr(words[0][0]), ""),
        round(max(0.0, now - int(words[19]) / _TICK), 1),
    )


_VICTIM = re.compile(
    r"[Kk]illed process (?P<pid>\d+) \((?P<name>.*)\) total-vm:\d+kB, anon-rss:(?P<anon>\d+)kB, "
    r"file-rss:(?P<file>\d+)kB, shmem-rss:(?P<shmem>\d+)kB(?:, UID:(?P<uid>\d+))?"
)
_PLACE = re.compile(r"task_memcg=(?P<cgroup>\S*),task=.*,pid=(?P<pid>\d+),uid=\d+$")


def victims(lines: Sequence[str], subject: Subject) -> Iterator[Process]:
    """The processes of an account that the kernel says it killed for memory, from lines of its log (mm/oom_kill.c).
    The line with the cgroup comes before the other, but not always: the kernel limits how often it does."""
    places: dict[int, tuple[str, str]] = {}
    for line in lines:
        if place := _PLACE.search(line):
            directory, _, leaf = _below(place["cgroup"], subject.users).partition("/")
            places[int(place["pid"])] = directory, leaf.partition("/")[0]
        elif victim := _VICTIM.search(line):
            pid, uid = int(victim["pid"]), int(victim["uid"] or -1)
            directory, leaf = places.get(pid, (subject.directory if uid in subject.names else "", ""))
            if directory and subject.directory in ("", directory):
                memory = sum(int(victim[each]) for each in ("anon", "file", "shmem")) << 10
                name = subject.names.get(uid, str(uid) if uid >= 0 else "")
                yield Process(pid, victim["name"], directory, leaf, name, memory, None, KILLED)


def _below(cgroup: str, users: str) -> str:
    """The path of a cgroup below `users`; '' outside. The log has it without the mount point."""
    parts = users.strip("/").split("/")
    return next(
        (cgroup[len(head) :] for at in range(len(parts)) if cgroup.startswith(head := f"/{'/'.join(parts[at:])}/")),
        "",
    )


def _killed(subject: Subject) -> Iterator[Process]:
    lines: list[str] = []
    with suppress(OSError):
        lines = list(_log(time.clock_gettime(time.CLOCK_MONOTONIC) - RECENT))
    yield from victims(lines, subject)


def _log(since: float) -> Iterator[str]:
    """The lines of the kernel's log since then (CLOCK_MONOTONIC). See Documentation/ABI/testing/dev-kmsg."""
    file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while True:
            try:
                head, _, text = os.read(file, 8192).decode(errors="replace").partition(";")
            except BrokenPipeError:  # what was to come next is overwritten; the next read goes on
                continue
            except BlockingIOError:
                return
            words = head.split(",")
            if len(words) > 2 and words[2].isdigit() and int(words[2]) / 1e6 >= since:
                yield text.partition("\n")[0]
    finally:
        os.close(file)
