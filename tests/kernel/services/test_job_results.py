"""Results of jobs: saved once, shown, and still there after a boot, which clears /run."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.service_host import ServiceHost, opened
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

YEARLY = "schedule: '0 0 1 1 *'"
"""Runs when a test orders it, and not of itself."""


class JobHost(ServiceHost):
    """`nightly` is a job of alice's."""

    @property
    def file(self) -> Path:
        return self.host.place / "state/results/alice.nightly"

    def kept(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.file.read_text())
        return found

    def nightly(self) -> dict[str, Any]:
        return self.state()["nightly"]

    def runs(self, command: str) -> str:
        """Once, to its end."""
        self.services(f"nightly: {{run: '{command}', {YEARLY}}}")
        self.reconcile()
        return self.ordered()

    def ordered(self, code: int = 0) -> str:
        """What is said meanwhile; `start` itself may see its end."""
        told = subprocess.run(self.command("start", "alice/nightly"), capture_output=True, text=True).stdout
        wait_for(lambda: not self.members("nightly"), what="it has ended")
        return told + self.reconcile(code=code)

    def boots(self) -> None:
        shutil.rmtree(self.host.place / "run/services")


@pytest.fixture
def jobs(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path) -> Iterator[JobHost]:
    with opened(JobHost, tmp_path_factory, cgroups, keeper) as jobs:
        yield jobs


def test_a_result_is_remembered_once_and_shown_after_a_boot(jobs: JobHost) -> None:
    begin = time.time()
    assert "remember that alice/nightly ended with exit status 0" in jobs.runs("sleep 0.2")
    well = jobs.kept()
    assert begin <= well["begun"] < well["ended"] <= time.time()
    assert (well["status"], well["signal"], well["out_of_memory"], well["succeeded"]) == (0, None, False, well["ended"])

    assert "remember that alice/nightly ended with exit status 4" in jobs.runs("exit 4")
    ill, written = jobs.kept(), jobs.file.stat().st_mtime_ns
    assert (ill["status"], ill["succeeded"]) == (4, well["ended"])
    before = jobs.nightly()
    assert before["last"] == ill
    assert "nothing to do" in jobs.reconcile()
    assert jobs.file.stat().st_mtime_ns == written

    jobs.boots()
    assert jobs.nightly()["last"] is None, "nobody has looked yet"
    assert jobs.reconcile().splitlines()[0].split() == ["done", "await", "the", "time", "of", "alice/nightly"]
    after = jobs.nightly()
    assert (after["last"], after["state"], after["detail"]) == (ill, "failed", before["detail"])
    assert "ended with exit status 4 (well at " in jobs("status", "alice")
    assert "nothing to do" in jobs.reconcile()
    assert jobs.file.stat().st_mtime_ns == written

    jobs.runs("kill -KILL $$")
    assert (jobs.kept()["signal"], jobs.kept()["succeeded"]) == (9, well["ended"])


def test_what_a_shutdown_ends_is_remembered(jobs: JobHost) -> None:
    jobs.services(f"nightly: {{run: exec sleep 1000, {YEARLY}}}")
    jobs.reconcile()
    jobs("start", "alice/nightly")
    wait_for(lambda: jobs.pids("nightly"), what="it runs")
    jobs("kill", "--all", "--down")
    assert (jobs.kept()["status"], jobs.kept()["signal"]) == (None, 15)
    jobs.boots()
    jobs.reconcile()
    assert jobs.nightly()["last"] == jobs.kept()
    assert not jobs.members("nightly"), "what was missed is left out"


def test_a_job_killed_with_its_shim_is_reported_once(jobs: JobHost) -> None:
    """As the kernel does it where a leaf is out of memory, and all in it ends."""
    hook = "echo $RESULT of $SERVICE >>$HOME/told"
    jobs.services(f"nightly: {{run: exec sleep 1000, {YEARLY}, on_failure: {{run: '{hook}'}}}}")
    jobs.reconcile()
    jobs("start", "alice/nightly")
    wait_for(lambda: jobs.pids("nightly"), what="it runs")
    jobs.host.cgroups.kill("users/alice/nightly")
    wait_for(lambda: not jobs.members("nightly"), what="both are gone")
    told = jobs.reconcile()
    how = "killed, with all that was in its leaf"
    assert f"remember that alice/nightly ended with {how}" in told
    assert f"tell how alice/nightly ended: {how}" in told
    wait_for((jobs.home / "told").exists, what="the hook has been called")
    wait_for(lambda: not jobs.members("nightly"), what="it has ended")
    assert "nothing to do" in jobs.reconcile()
    assert (jobs.home / "told").read_text() == f"{how} of alice/nightly\n"
    assert jobs.kept()["status"] is jobs.kept()["signal"] is None

    jobs("start", "alice/nightly")
    wait_for(lambda: jobs.pids("nightly"), what="it runs")
    jobs("stop", "alice/nightly")
    jobs("start", "alice/nightly")
    jobs.host.cgroups.kill("users/alice/nightly")
    wait_for(lambda: not jobs.members("nightly"), what="both are gone")
    assert "tell how alice/nightly ended" not in jobs("stop", "alice/nightly"), "who may not run runs no hook either"


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"begun": null}'])
def test_a_damaged_result_is_none_and_stops_nothing(jobs: JobHost, text: str) -> None:
    jobs.runs("exit 4")
    jobs.file.write_text(text)
    jobs.boots()
    jobs.reconcile()
    assert jobs.nightly()["last"] is None
    assert "remember that alice/nightly ended with exit status 5" in jobs.runs("exit 5")
    assert jobs.kept()["status"] == 5


def test_a_directory_that_cannot_be_written_is_reported_and_delays_nothing(jobs: JobHost) -> None:
    jobs.runs("exit 4")
    shutil.rmtree(jobs.file.parent)
    jobs.file.parent.write_text("a file")
    assert "failed   remember that alice/nightly ended with exit status 4" in jobs.ordered(code=1)
    assert jobs.nightly()["last"]["status"] == 4, "until the next boot it is known all the same"
    jobs.file.parent.unlink()
    assert "remember that" in jobs.reconcile()


def test_a_result_goes_with_its_service(jobs: JobHost) -> None:
    jobs.runs("exit 4")
    jobs.services("web: {run: exec sleep 1000}")
    assert "forget what ran as alice/nightly" in jobs.reconcile()
    assert not jobs.file.exists()

    jobs.runs("exit 4")
    jobs.services("nightly: {run: exec sleep 1000}")
    jobs.reconcile()
    assert not jobs.file.exists(), "it is no job any more"


@pytest.mark.parametrize("while_down", [False, True])
def test_a_result_goes_with_its_account(jobs: JobHost, while_down: bool) -> None:
    jobs.host.account("bob")
    jobs.runs("exit 4")
    if while_down:
        jobs.boots()
    (jobs.host.etc / "accounts.d/alice.yaml").unlink()
    jobs.reconcile()
    assert "users/alice" not in jobs.host.tree()
    jobs.reconcile()
    assert not jobs.file.exists()


def test_a_file_that_is_wrong_forgets_no_result(jobs: JobHost) -> None:
    jobs.runs("exit 4")
    (jobs.host.etc / "accounts.d/alice.yaml").write_text("account: alice\nnonsense: [")
    jobs.reconcile(code=4)
    assert jobs.kept()["status"] == 4


def test_the_daemon_remembers_at_once(jobs: JobHost, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs.services(f"nightly: {{run: 'sleep 0.3; exit 6', {YEARLY}}}")
    with jobs.daemon(log):
        wait_for(lambda: "await the time of alice/nightly" in log.read_text(), what="it awaits its time")
        jobs("start", "alice/nightly")
        wait_for(jobs.file.exists, what="it is remembered", deadline=5)
        wait_for(lambda: "ended with exit status 6" in log.read_text(), what="and told")
        assert jobs.kept()["status"] == 6
        jobs.services("web: {run: exec sleep 1000}")
        wait_for(lambda: not jobs.file.exists(), what="it goes with its service")
        assert log.read_text().count("remember that") == 1
