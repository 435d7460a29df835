"""Limits of the kernel: each is written, and where a process can tell, it is seen to hold. See cgroup-v2.rst."""

import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.selftest.scratch import Scratch
from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.counters import flat_keyed, oom_kills
from paas_isolate.linux.quota.devices import BlockDevices
from paas_isolate.model.knobs import FREEZE

MIB = 1 << 20
_MEMORY = 16
"""MiB that the processes of the memory checks may have; they take four times as many."""
_PIDS = 5
_BUSY = 0.5
"""Seconds that a process of the CPU checks works."""
_RATE = 1
"""MiB a second that may be written. The checks write twice as many."""
_LEAST = 0.5
"""Seconds that this takes at least."""


class Trial(NamedTuple):
    """`bites` tries the limit in a leaf and returns what was found, and whether the limit held. It is left out for
    limits that no process can tell within a second: they are written and read back alone. `vital`: without this file
    nobody can be confined."""

    knob: str
    bites: Callable[[Scratch, str], tuple[bool, str]] | None = None
    text: str = ""
    vital: bool = False


def examine(scratch: Scratch, directory: str) -> Iterator[Check]:
    """A check for each limit. `directory` is on the disk that io.max is tried on."""
    for trial in _TRIALS:
        yield _checked(scratch, trial)
    yield _io(scratch, directory)


def _checked(scratch: Scratch, trial: Trial) -> Check:
    path = scratch.leaf(trial.knob)
    if trial.knob not in scratch.cgroups.files(path):
        verdict = Verdict.FAILED if trial.vital else Verdict.SKIPPED
        return Check(trial.knob, verdict, "this kernel does not offer it in the tree")
    try:
        held, found = trial.bites(scratch, path) if trial.bites else _written(scratch, path, trial.knob, trial.text)
    except OSError as error:
        held, found = False, f"{error.strerror or error}"
    return Check(trial.knob, Verdict.OK if held else Verdict.FAILED, found)


def _written(scratch: Scratch, path: str, knob: str, text: str) -> tuple[bool, str]:
    scratch.cgroups.write(path, knob, text)
    read = scratch.cgroups.read(path, knob)
    return read == text, f"reads as written ({text})" if read == text else f"reads {read!r}; written was {text!r}"


def _memory_max(scratch: Scratch, path: str) -> tuple[bool, str]:
    _limit_memory(scratch, path, "memory.max")
    scratch.inside(path, _take_memory)
    killed = oom_kills(scratch.cgroups, path)
    words = "was killed" if killed else "was not killed"
    return killed > 0, f"a process that took {4 * _MEMORY} MiB {words} at {_MEMORY} MiB"


def _memory_high(scratch: Scratch, path: str) -> tuple[bool, str]:
    _limit_memory(scratch, path, "memory.high")
    scratch.inside(path, _take_memory, patience=1)
    times = flat_keyed(scratch.cgroups.read(path, "memory.events")).get("high", 0)
    return times > 0, f"a process was throttled above {_MEMORY} MiB {times} times"


def _oom_group(scratch: Scratch, path: str) -> tuple[bool, str]:
    _limit_memory(scratch, path, "memory.max")
    scratch.cgroups.write(path, "memory.oom.group", "1")
    scratch.inside(path, _take_memory_beside_another)
    ended = scratch.wait(lambda: not scratch.cgroups.populated(path), 2)
    return ended, f"the other process of the leaf {'was killed too' if ended else 'was left alive'}"


def _limit_memory(scratch: Scratch, path: str, knob: str) -> None:
    """Without swap, so that a limit of memory holds and the machine's swap is left alone."""
    scratch.cgroups.write(path, knob, str(_MEMORY * MIB))
    with suppress(FileNotFoundError):
        scratch.cgroups.write(path, "memory.swap.max", "0")


def _take_memory() -> None:
    with mmap.mmap(-1, 4 * _MEMORY * MIB) as taken:
        for at in range(0, len(taken), mmap.PAGESIZE):
            taken[at] = 1


def _take_memory_beside_another() -> None:
    _fork_sleeper()
    _take_memory()


def _pids_max(scratch: Scratch, path: str) -> tuple[bool, str]:
    scratch.cgroups.write(path, "pids.max", str(_PIDS))
    made = scratch.inside(path, _fork_until_refused)
    refused = flat_keyed(scratch.cgroups.read(path, "pids.events")).get("max", 0)
    words = f"fork was refused after {made}" if refused else "fork was not refused"
    return refused > 0 and made == _PIDS, f"{words} of {_PIDS} processes"


def _fork_until_refused() -> int:
    """How many processes there are then, this one included."""
    for made in range(1, 4 * _PIDS):
        try:
            _fork_sleeper()
        except BlockingIOError:
            return made
    return 4 * _PIDS


def _fork_sleeper() -> None:
    """It closes the answer's descriptor, whose reader waits for its end."""
    if not os.fork():
        os.closerange(3, 16)
        signal.pause()
        os._exit(0)


def _cpu_max(scratch: Scratch, path: str) -> tuple[bool, str]:
    scratch.cgroups.write(path, "cpu.max", "10000 100000")
    used = scratch.inside(path, _be_busy)
    times = flat_keyed(scratch.cgroups.read(path, "cpu.stat")).get("nr_throttled", 0)
    held = times > 0 and used is not None and used < _BUSY / 2
    return held, f"a busy process had {used or 0:.2f} s of CPU in {_BUSY} s at 10 %, throttled {times} times"


def _be_busy() -> float:
    """The CPU time that it had, in seconds."""
    begin, until = time.process_time(), time.monotonic() + _BUSY
    while time.monotonic() < until:
        pass
    return time.process_time() - begin


def _cpuset(scratch: Scratch, path: str) -> tuple[bool, str]:
    last = (scratch.cgroups.read(path, "cpuset.cpus.effective") or "").replace(",", "-").split("-")[-1]
    scratch.cgroups.write(path, "cpuset.cpus", last)
    allowed = scratch.inside(path, lambda: sorted(os.sched_getaffinity(0)))
    return allowed == [int(last)], f"a process may run on CPU {allowed}; written was {last}"


def _frozen(scratch: Scratch, path: str) -> tuple[bool, str]:
    cgroups = scratch.cgroups
    with scratch.running(path, _spin):
        try:
            cgroups.write(path, FREEZE, "1")
            frozen = scratch.wait(lambda: "frozen 1" in (cgroups.read(path, "cgroup.events") or ""), 2)
            begin = _used(scratch, path)
            time.sleep(0.05)
            used = _used(scratch, path) - begin
        finally:
            cgroups.write(path, FREEZE, "0")
    return frozen and not used, f"a busy process stopped, and used {used} µs more" if frozen else "it did not stop"


def _used(scratch: Scratch, path: str) -> int:
    return flat_keyed(scratch.cgroups.read(path, "cpu.stat")).get("usage_usec", 0)


def _killed(scratch: Scratch, path: str) -> tuple[bool, str]:
    with scratch.running(path, signal.pause):
        scratch.cgroups.write(path, "cgroup.kill", "1")
        ended = scratch.wait(lambda: not scratch.cgroups.populated(path), 2)
    return ended, f"the process in the leaf {'ended' if ended else 'did not end'}"


def _spin() -> None:
    while True:
        pass


_TRIALS = (
    Trial("memory.max", _memory_max, vital=True),
    Trial("memory.high", _memory_high),
    Trial("memory.oom.group", _oom_group),
    Trial("memory.swap.max", text="0"),
    Trial("memory.low", text=str(MIB)),
    Trial("memory.min", text=str(MIB)),
    Trial("pids.max", _pids_max, vital=True),
    Trial("cpu.max", _cpu_max, vital=True),
    Trial("cpu.max.burst", text="0"),
    Trial("cpu.weight", text="50"),
    Trial("cpuset.cpus", _cpuset),
    Trial("io.weight", text="default 50"),
    Trial(FREEZE, _frozen, vital=True),
    Trial("cgroup.kill", _killed, vital=True),
)


def _io(scratch: Scratch, directory: str) -> Check:
    """io.max, on the disk of `directory`."""
    path = scratch.leaf("io.max")
    if "io.max" not in scratch.cgroups.files(path):
        return Check("io.max", Verdict.SKIPPED, "this kernel does not offer it in the tree")
    try:
        device = BlockDevices().device_of(directory)
        scratch.cgroups.write(path, "io.max", f"{device} wbps={_RATE * MIB}")
        seconds = scratch.inside(path, lambda: _write_directly(directory))
    except HostError as error:
        return Check("io.max", Verdict.SKIPPED, str(error).splitlines()[0], error.hint)
    except OSError as error:
        return Check("io.max", Verdict.SKIPPED, f"cannot be tried in {directory}: {error.strerror or error}")
    held = seconds is None or seconds >= _LEAST
    took = "did not end" if seconds is None else f"took {seconds:.1f} s"
    found = f"to write {2 * _RATE} MiB to {device} {took} at {_RATE} MiB/s"
    return Check("io.max", Verdict.OK if held else Verdict.FAILED, found)


def _write_directly(directory: str) -> float:
    """How many seconds it takes to write to a file without a name (O_TMPFILE), past the page cache (O_DIRECT)."""
    file = os.open(directory, os.O_WRONLY | os.O_TMPFILE | os.O_DIRECT, 0o600)
    try:
        with mmap.mmap(-1, MIB) as aligned:
            begin = time.monotonic()
            for _ in range(2 * _RATE):
                os.write(file, aligned)
            return time.monotonic() - begin
    finally:
        os.close(file)
