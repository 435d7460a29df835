"""Processes of an account: those of this test."""

import os
import subprocess
import sys
import time

from paas_isolate.live.processes import ProcessReader


def test_a_busy_process_comes_first_and_has_a_rate_at_the_second_look() -> None:
    spin = "import time\nend = time.monotonic() + 30\nwhile time.monotonic() < end: pass"
    with subprocess.Popen([sys.executable, "-c", spin]) as busy:
        try:
            reader = ProcessReader()
            pids = {"web": [os.getpid(), busy.pid]}
            assert {row.cpu for row in reader.read("alice", pids)} == {None}
            time.sleep(0.5)
            first, _ = reader.read("alice", pids)
        finally:
            busy.kill()
    assert (first.pid, first.leaf) == (busy.pid, "web")
    assert first.cpu is not None and first.cpu > 0.02
    assert spin.splitlines()[0] in first.command
    assert first.memory > 1_000_000
    assert 0 < first.age < 60


def test_one_that_has_ended_is_left_out() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    assert ProcessReader().read("alice", {"web": [ended.pid]}) == []
