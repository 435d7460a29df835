"""explain on the real kernel: what was changed, who was killed for memory, and who burnt the CPU."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.kernel.running_daemon import RunningDaemon
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

FIRST = 1_400_000_000 + 100 * os.getpid()
WEB = f"services: {{web: {{{NO_LIMIT}}}}}\n"


def metering(host: TestHost) -> None:
    host.configure("")
    with (host.etc / "config.yaml").open("a") as file:
        file.write("metering: {every: 1s}\n")


def explained(host: TestHost, *words: str) -> dict[str, Any]:
    done = host.run("explain", "alice", *words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_was_changed_is_told(host: TestHost) -> None:
    metering(host)
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    assert host.run("freeze", "alice").returncode == 0
    assert host.run("thaw", "alice").returncode == 0
    (host.place / "run/sampled").unlink(missing_ok=True)
    assert host.run("reconcile").returncode == 0
    (host.place / "run/sampled").unlink()
    assert host.run("reconcile").returncode == 0
    found = explained(host)
    assert found["findings"] == []
    said = [note.partition(": ")[2] for note in found["notes"] if note.startswith("Changed at ")]
    assert said == [
        "create users/alice.",
        "set cgroup.freeze of users/alice to 1 (was 0).",
        "set cgroup.freeze of users/alice to 0 (was 1).",
    ]


@pytest.fixture
def daemon(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, tmp_path: Path) -> Iterator[RunningDaemon]:
    offered = set((cgroups.read("", "cgroup.controllers") or "").split())
    if not {"cpu", "memory"} <= offered:
        pytest.skip("needs the controllers cpu and memory")
    host = TestHost(tmp_path_factory.mktemp("explained"), cgroups, FIRST)
    metering(host)
    host.account("alice", "limits: {cpu: 30%, memory: 64M}\nservices: {web: {limits: {memory: {kill: process}}}}\n")
    running = RunningDaemon(host, tmp_path / "log")
    sampled = host.place / "run/sampled"
    wait_for(lambda: sampled.exists() and sampled.read_text().endswith(" daemon\n"), what="a sample was taken")
    yield running
    running.end()
    assert "not measured" not in running.log.read_text()
    assert "not remembered" not in running.log.read_text()


def run(daemon: RunningDaemon, name: str, program: str) -> int:
    """Run a program of this name in alice's web until it ends; its exit status."""
    link = daemon.host.place / name
    link.symlink_to(sys.executable)
    with daemon.host.cgroups.directory("users/alice/web") as directory:
        enter = f'echo 0 >/proc/self/fd/{directory}/cgroup.procs; exec "$@"'
        words = ["sh", "-c", enter, "sh", str(link), "-ISc", program]
        return subprocess.run(words, pass_fds=[directory], timeout=60).returncode


def finding(host: TestHost, kind: str) -> dict[str, Any]:
    """Wait for an incident of this kind: what is found is written once a minute, or when it is told."""

    def look() -> list[dict[str, Any]]:
        done = host.run("explain", "alice", "--json")
        found = json.loads(done.stdout)["findings"] if done.returncode == 0 else []
        return [each for each in found if each["kind"] == kind]

    wait_for(look, what=f"alice has a finding: {kind}", deadline=90)
    return look()[0]


def test_a_memory_hog_is_named(daemon: RunningDaemon) -> None:
    hog = "held = []\nwhile True: held.append(bytearray(b'x' * (1 << 20)))"
    assert run(daemon, "hog", hog) == -9
    found = finding(daemon.host, "killed")
    assert found["level"] == "account"
    assert found["limit"] == str(64 << 20)
    assert "it needed more memory than its 64M; hog was killed." in found["sentences"][0]
    assert "The limit is that of the whole account (memory.max)." in found["sentences"]


def test_a_cpu_burner_is_named(daemon: RunningDaemon) -> None:
    begin = time.monotonic()
    run(daemon, "burner", "import time\nend = time.monotonic() + 12\nwhile time.monotonic() < end: pass")
    assert time.monotonic() - begin < 60
    found = finding(daemon.host, "throttled")
    assert (found["level"], found["limit"]) == ("account", "30000 100000")
    assert "it used all of its 30 % CPU; burner took most of it." in found["sentences"][0]
