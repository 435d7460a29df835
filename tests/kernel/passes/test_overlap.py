"""Many runs at once, some of them stopped or killed: one writes at a time, and the result is the same."""

import random
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.kernel.host import TestHost, many

pytestmark = pytest.mark.kernel

AT_ONCE = 8

RECORDED = """
import os, sys, time
from paas_isolate.linux.cgroup.tree import CgroupTree

log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

def recorded(write):
    def writing(*words, **more):
        begin = time.monotonic_ns()
        try:
            return write(*words, **more)
        finally:
            os.write(log, f"{{begin}} {{time.monotonic_ns()}} {{os.getpid()}}\\n".encode())
    return writing

for name in ("create", "write", "remove"):
    setattr(CgroupTree, name, recorded(getattr(CgroupTree, name)))
from paas_isolate.cli.main import main
main()
"""


def overlapping(host: TestHost, rounds: int, log: Path) -> int:
    """The rounds; how many writes there were."""
    dice = random.Random(20)
    many(host, 12)
    program = host.command("reconcile")
    at = program.index("-m")
    program[at : at + 2] = ["-c", RECORDED.format(log=str(log))]
    for turn in range(rounds):
        toggle(host, f"a{turn % 12}")
        runs = [subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for _ in range(AT_ONCE)]
        time.sleep(dice.uniform(0, 0.5))  # any moment
        stopped, killed = dice.sample(runs, 2)
        stopped.send_signal(signal.SIGSTOP)
        killed.kill()
        time.sleep(0.05)  # so long it stands still
        stopped.send_signal(signal.SIGCONT)
        ended = {}
        for run in runs:
            _, said = run.communicate(timeout=60)
            assert b"Traceback" not in said, said.decode()
            ended[run] = run.returncode
        assert set(ended.values()) <= {0, 4, 75, -signal.SIGKILL}
    return one_at_a_time(log)


def toggle(host: TestHost, name: str) -> None:
    """An account more, or less."""
    path = host.etc / "accounts.d" / f"{name}.yaml"
    if path.exists():
        path.unlink()
    else:
        host.account(name, f"users: [u{name[1:]}]\n")


def one_at_a_time(log: Path) -> int:
    """Between the first and the last write of a run there is none of another."""
    writes = sorted(tuple(map(int, line.split())) for line in log.read_text().splitlines())
    runs: dict[int, tuple[int, int]] = {}
    for begin, end, pid in writes:
        first, last = runs.get(pid, (begin, end))
        runs[pid] = first, max(last, end)
    for (_, last), (first, _) in pairwise(sorted(runs.values())):
        assert last < first
    return len(writes)


def check(host: TestHost) -> None:
    done = host.run("reconcile", "--wait", "5", "--remove")
    assert done.returncode == 0, done.stderr
    left = {path.stem for path in (host.etc / "accounts.d").iterdir()}
    assert host.tree() == sorted(f"{name}/{leaf}" for name in left for leaf in ("login", "other"))
    assert host.run("reconcile").stdout == "nothing to do\n"


def test_eight_runs_at_once(host: TestHost, tmp_path: Path) -> None:
    assert overlapping(host, 8, tmp_path / "log") > 20
    check(host)


@pytest.mark.long
def test_eight_runs_at_once_two_hundred_times(host: TestHost, tmp_path: Path) -> None:
    assert overlapping(host, 200, tmp_path / "log") > 500
    check(host)
