"""A customer who makes reconcile wait keeps their limits and delays nobody else."""

import pwd
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.events.timer import ClockChangeSource
from tests.support.guest.machine import knob, run
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customers, Specs
from tests.support.paths import HOSTILE

pytestmark = [pytest.mark.guest, pytest.mark.hostile]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hostile")
    for name in ("silent_fs", "hammer"):
        run("gcc", "-O1", "-o", f"/usr/local/bin/hostile-{name}", str(HOSTILE / f"{name}.c"))
    return place


@pytest.fixture(autouse=True)
def built(programs: Path) -> Iterator[None]:
    yield


@pytest.mark.parametrize("who", ["allow_other", "alone"])
def test_a_hidden_home_keeps_its_io_limits(spec: Specs, customer: Customers, paas: Paas, who: str) -> None:
    spec.config()
    alice = customer("alice")
    home = pwd.getpwnam("alice").pw_dir
    spec.sell("alice", limits={"io": "1M", "pids": 40})
    paas("reconcile")
    before = knob("users/alice", "io.max")
    assert "rbps=1048576 wbps=1048576" in before

    words = ["/usr/local/bin/hostile-silent_fs", home, "/dev/vda", str(alice.uid), who, "nothing"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as silent:
        try:
            assert silent.stdout and silent.stdout.readline() == "ready\n"
            spec.sell("alice", limits={"io": "2M", "pids": 41})
            answer = paas("reconcile", code=1)
            assert f"io limits of users/alice cannot be kept: {home} lies on fuse.silent at {home}" in answer.err
            assert (knob("users/alice", "io.max"), knob("users/alice", "pids.max")) == (before, "41")
            paas("status", "alice")
        finally:
            silent.kill()
    run("umount", "--lazy", home)
    paas("reconcile")
    assert "rbps=2097152" in knob("users/alice", "io.max")


def test_unreadable_command_lines_delay_nobody(spec: Specs, customer: Customers, paas: Paas) -> None:
    spec.config()
    alice = customer("alice")
    spec.sell("alice", limits={"cpu": "5%"}, services={"work": {"match": {"command": "*worker*"}}})
    paas("reconcile")
    # The 40 get little time before they are confined: what is seen is whether a run waits, not whether it has a turn.
    become = ["nice", "-n", "19", "setpriv", f"--reuid={alice.uid}", "--clear-groups"]
    with subprocess.Popen([*become, "/usr/local/bin/hostile-hammer", "40"]) as hammer:
        try:
            time.sleep(5)  # until the hammer is at its height
            began = time.monotonic()
            paas("reconcile", code=None)
            paas("reconcile", code=None)
            assert time.monotonic() - began < 60
        finally:
            hammer.kill()
            run("sh", "-c", "echo 1 >/sys/fs/cgroup/paas.slice/paas-tree.service/users/alice/cgroup.kill")


def test_a_clock_that_is_set_is_heard() -> None:
    clock = ClockChangeSource()
    try:
        waits = select.poll()
        waits.register(clock, select.POLLIN)
        assert not waits.poll(100)
        time.clock_settime(time.CLOCK_REALTIME, time.time())
        assert waits.poll(2000)
        assert [event.place for event in clock.read()] == ["the clock was set"]
        assert not waits.poll(100)
    finally:
        clock.close()
