"""`doctor --selftest` on this kernel, in a tree of the test's own: what holds is said, and nothing stays."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.doctor.selftest import limits, logins, scratch
from paas_isolate.doctor.selftest.run import run_in
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.knobs import CONTROLLERS, SUBTREE_CONTROL
from tests.support.kernel.host import TestHost
from tests.support.kernel.pam_session import Built, build
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel
PINS = Path("/sys/fs/bpf/paas-isolate-selftest")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("built"))


@pytest.fixture
def untouched(cgroups: CgroupTree) -> Iterator[CgroupTree]:
    """The tree must be empty at the end, with the controllers that it had."""
    before = cgroups.read("", SUBTREE_CONTROL)
    yield cgroups
    assert cgroups.children("") == []
    assert cgroups.read("", SUBTREE_CONTROL) == before
    assert not PINS.exists()


def offered(cgroups: CgroupTree) -> set[str]:
    return {name for name in CONTROLLERS if name in (cgroups.read("", "cgroup.controllers") or "").split()}


def test_each_limit_that_the_kernel_offers_holds(untouched: CgroupTree, built: Built, tmp_path: Path) -> None:
    found = {check.name: check for check in run_in(untouched, str(tmp_path), str(built.module))}
    there = {*offered(untouched), "cgroup"}
    for trial in limits._TRIALS:
        check = found[trial.knob]
        if trial.knob.partition(".")[0] in there and "not offer" not in check.found:
            assert check.verdict is Verdict.OK, check
        else:
            assert check.verdict is (Verdict.FAILED if trial.vital else Verdict.SKIPPED), check
    assert found["io.max"].verdict is not Verdict.FAILED, found["io.max"]
    assert found["pam module"].verdict is Verdict.OK, found["pam module"]
    assert found["gate"].verdict is not Verdict.FAILED, found["gate"]


def test_a_process_that_stays_behind_keeps_nobody_waiting(untouched: CgroupTree) -> None:
    with scratch.scratch(untouched) as place:
        leaf = place.leaf("one")
        assert place.inside(leaf, limits._fork_sleeper, patience=5) is None
        assert place.inside(leaf, lambda: 7, patience=5) == 7
        assert untouched.populated(leaf)


def test_a_process_that_was_killed_or_is_late_has_no_answer(untouched: CgroupTree) -> None:
    with scratch.scratch(untouched) as place:
        assert place.inside(place.leaf("one"), lambda: os.kill(os.getpid(), signal.SIGKILL)) is None
        assert place.inside(place.leaf("one"), pause, patience=0.1) is None


def test_a_module_that_does_not_load_is_told(untouched: CgroupTree, tmp_path: Path) -> None:
    broken = tmp_path / "pam_paas_isolate.so"
    broken.write_bytes(b"no module")
    with scratch.scratch(untouched) as place:
        (check,) = logins.examine(place, str(broken))
    assert check.verdict is Verdict.FAILED
    assert "a session of root does not open" in check.found


def test_what_a_killed_run_has_left_is_removed(untouched: CgroupTree) -> None:
    for path in (scratch.NAME, f"{scratch.NAME}/login"):
        untouched.create(path)
    left = subprocess.Popen(["sleep", "1000"])
    untouched.attach(f"{scratch.NAME}/login", left.pid)
    with scratch.scratch(untouched):
        assert untouched.children(scratch.NAME) == []
    assert left.wait(timeout=10) == -signal.SIGKILL


def test_an_error_leaves_nothing_behind(untouched: CgroupTree) -> None:
    with pytest.raises(ZeroDivisionError), scratch.scratch(untouched) as place, place.running(place.leaf("one"), pause):
        raise ZeroDivisionError


def pause() -> None:
    signal.pause()


ENDLESS = """
import sys, time
from paas_isolate.doctor.selftest.scratch import scratch
from paas_isolate.linux.cgroup.tree import CgroupTree
with CgroupTree(*sys.argv[1:]) as cgroups, scratch(cgroups) as place:
    place.inside(place.leaf("one"), lambda: time.sleep(1000), patience=1000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(untouched: CgroupTree, number: signal.Signals) -> None:
    # A shell's background job ignores SIGINT, and so would all that it starts.
    command = ["env", "--default-signal=INT", sys.executable, "-c", ENDLESS, untouched.mount, untouched.root]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        wait_for(lambda: untouched.populated(scratch.NAME), what="a trial runs")
        os.killpg(running.pid, number)  # as a terminal does: its children get it, too
        running.communicate(timeout=20)
        assert running.returncode in (-signal.SIGINT, 128 + number)
    finally:
        running.kill()


def test_the_command_tells_what_failed_by_its_exit_status(host: TestHost) -> None:
    begin = time.monotonic()
    done = host.run("doctor", "--selftest", "--json")
    assert time.monotonic() - begin < 30
    checks = [Check(**each) for each in json.loads(done.stdout)]
    failed = [check.name for check in checks if check.verdict == "FAILED"]
    assert done.returncode == (5 if failed else 0), done.stderr
    assert [check.name for check in checks][:2] == ["cgroup", "memory.max"]
    assert host.cgroups.children("") == []


def test_without_a_tree_that_is_said(host: TestHost) -> None:
    config = host.etc / "config.yaml"
    config.write_text(config.read_text().replace(host.cgroups.root, f"{host.cgroups.root}/missing"))
    done = host.run("doctor", "--selftest")
    assert done.returncode == 5
    assert done.stdout.startswith("FAILED  tree: ")
