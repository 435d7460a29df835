"""procfs says the same of a process as psutil."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from paas_isolate.cli.coverage import process_reader
from paas_isolate.linux.process import procfs

TICKS = os.sysconf("SC_CLK_TCK")

ODD_NAMES = [
    "a b",
    ") R 1 1 (",
    "sleep) Z 0",
    "((()",
    "new\nline",
    "back\\slash",
    "tab\there",
    "exactly15bytes.",
    "sixteen.bytes.16",
    "grüße",
]


@contextmanager
def sleeping(words: list[str], executable: str | None = None) -> Iterator[int]:
    """A child that sleeps: its pid, once it is the program that was asked for."""
    child = subprocess.Popen(words, executable=executable, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    try:
        # execve(2) closes Popen's pipe a moment before the arguments are in place.
        while not procfs.command(child.pid) and time.monotonic() < deadline:
            time.sleep(0.001)
        yield child.pid
    finally:
        child.communicate(b"")
        assert child.returncode is not None


def check(pid: int) -> None:
    """Everything that both read of one process."""
    ours, theirs = procfs.identity(pid), psutil.Process(pid)
    assert ours is not None
    uids = theirs.uids()
    assert ours.uids[:3] == (uids.real, uids.effective, uids.saved)
    assert procfs.effective_uid(pid) == uids.effective
    assert ours.parent == theirs.ppid()
    assert ours.alive == (theirs.status() != psutil.STATUS_ZOMBIE)
    # psutil counts from the epoch, and keeps no ticks: both are compared with this process's own.
    own = procfs.identity(os.getpid())
    assert own is not None
    assert (ours.start - own.start) / TICKS == pytest.approx(
        theirs.create_time() - psutil.Process().create_time(), abs=1.5 / TICKS
    )
    if ours.alive:
        assert procfs.command(pid).split() == " ".join(theirs.cmdline()).split()


def test_this_process_and_its_ancestors() -> None:
    for process in [psutil.Process(), *psutil.Process().parents()]:
        check(process.pid)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_child_with_an_odd_name(name: str, tmp_path: Path) -> None:
    program = tmp_path / name
    shutil.copy(shutil.which("cat") or "", program)
    with sleeping([str(program)]) as pid:
        check(pid)
        assert procfs.command(pid) == str(program)
        assert procfs.program(pid) == name
        assert procfs.name(pid).encode() == name.encode()[:15]
        assert psutil.Process(pid).exe() == str(program)


@pytest.mark.parametrize("words", [["cat", ""], ["cat", "", "-"], [""], ["a b", "-"], ["-"]])
def test_a_child_with_odd_arguments(words: list[str]) -> None:
    with sleeping([*words, "-"], executable=shutil.which("cat")) as pid:
        assert procfs.command(pid) == " ".join([*words, "-"])
        check(pid)


def test_a_zombie() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    try:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        check(child)
    finally:
        os.waitpid(child, 0)


def test_one_that_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not psutil.pid_exists(child.pid)
    assert procfs.identity(child.pid) is None
    assert procfs.effective_uid(child.pid) is None
    assert process_reader()(child.pid) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become others")
@pytest.mark.parametrize("uids", [(65001, 65002, 65003), (0, 65001, 0), (65001, 65001, 0)])
def test_a_child_with_several_uids(uids: tuple[int, int, int]) -> None:
    ready, to = os.pipe()
    child = os.fork()
    if not child:
        os.setresuid(*uids)
        os.write(to, b"1")
        time.sleep(600)
        os._exit(0)
    try:
        os.read(ready, 1)
        check(child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(to)
