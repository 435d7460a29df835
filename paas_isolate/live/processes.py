"""The processes of an account, as top shows them."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psutil

from paas_isolate.linux.process import procfs
from paas_isolate.linux.process.commands import CommandKey, CommandReader

MOST = 2000
"""Processes of an account that are looked at."""
SHOWN = 100
"""Processes whose command lines are read."""
_FRESH = 30.0
"""Seconds for which a command line is not read again."""


class ProcessRow(NamedTuple):
    """A process. `command` is hostile text: its arguments, or what it calls itself where reading them would have
    waited. `cpu` is in cores since the look before, None at the first; `memory` is its resident set in bytes, `age` in
    seconds."""

    pid: int
    leaf: str
    state: str
    cpu: float | None
    memory: int
    threads: int
    age: float
    command: str


def plain(row: ProcessRow) -> dict[str, Any]:
    """A row as JSON has it."""
    return {
        "pid": row.pid,
        "leaf": row.leaf,
        "state": row.state,
        "cpu_cores": row.cpu,
        "memory": row.memory,
        "threads": row.threads,
        "age_seconds": round(row.age, 1),
        "command": row.command,
    }


class ProcessReader:
    """Remembers the CPU time of each process from one look to the next."""

    def __init__(self) -> None:
        self._times: dict[tuple[int, float], tuple[float, float]] = {}
        self._commands = CommandReader()
        self._read_at = 0.0

    def read(self, account: str, pids: Mapping[str, Sequence[int]]) -> list[ProcessRow]:
        """The processes by leaf, the busiest first and the largest first among equals. Those beyond SHOWN have no
        command, those beyond MOST are left out."""
        now, times = time.time(), self._times
        self._times = {}
        every = [(leaf, pid) for leaf, those in pids.items() for pid in those][:MOST]
        rows = [row for leaf, pid in every if (row := self._row(leaf, pid, now, times)) is not None]
        rows.sort(key=lambda row: (-(row.cpu or 0.0), -row.memory, row.pid))
        commands = self._command_lines(account, [row.pid for row in rows[:SHOWN]])
        return [row._replace(command=commands.get(row.pid, "")) for row in rows]

    def _row(
        self, leaf: str, pid: int, now: float, before: Mapping[tuple[int, float], tuple[float, float]]
    ) -> ProcessRow | None:
        """None when it has ended. Only files are read that never wait for the process."""
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                begun, spent, state = process.create_time(), process.cpu_times(), process.status()
                memory, threads = process.memory_info().rss, process.num_threads()
        except psutil.Error:
            return None
        key, used = (pid, begun), spent.user + spent.system
        at, was = before.get(key, (now, used))
        self._times[key] = now, used
        cpu = (used - was) / (now - at) if now > at else None
        return ProcessRow(pid, leaf, str(state), cpu, memory, threads, max(0.0, now - begun), "")

    def _command_lines(self, account: str, pids: Sequence[int]) -> dict[int, str]:
        now = time.monotonic()
        if now - self._read_at > _FRESH:
            self._commands.forget()
            self._read_at = now
        keys = [CommandKey(pid, found.start) for pid in pids if (found := procfs.identity(pid)) is not None]
        lines = self._commands.read({account: keys})
        return {key.pid: lines.get(key) or f"[{procfs.name(key.pid)}]" for key in keys}
