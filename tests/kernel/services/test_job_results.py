"""Results of jobs, on this kernel: remembered once, shown, and there after a boot, which takes /run away."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.service_host import Workplace, opened
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

YEARLY = "schedule: '0 0 1 1 *'"
"""Runs when a test orders it, and not of itself."""


class Office(Workplace):
    """`nightly` is a job of alice's."""

    @property
    def file(self) -> Path:
        return self.shop.place / "state/results/alice.nightly"

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
        shutil.rmtree(self.shop.place / "run/services")


@pytest.fixture
def office(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path) -> Iterator[Office]:
    with opened(Office, tmp_path_factory, cgroups, keeper) as office:
        yield office


def test_a_result_is_remembered_once_and_shown_after_a_boot(office: Office) -> None:
    begin = time.time()
    assert "remember that alice/nightly ended with exit status 0" in office.runs("sleep 0.2")
    well = office.kept()
    assert begin <= well["begun"] < well["ended"] <= time.time()
    assert (well["status"], well["signal"], well["out_of_memory"], well["succeeded"]) == (0, None, False, well["ended"])

    assert "remember that alice/nightly ended with exit status 4" in office.runs("exit 4")
    ill, written = office.kept(), office.file.stat().st_mtime_ns
    assert (ill["status"], ill["succeeded"]) == (4, well["ended"])
    before = office.nightly()
    assert before["last"] == ill
    assert "nothing to do" in office.reconcile()
    assert office.file.stat().st_mtime_ns == written

    office.boots()
    assert office.nightly()["last"] is None, "nobody has looked yet"
    assert office.reconcile().splitlines()[0].split() == ["done", "await", "the", "time", "of", "alice/nightly"]
    after = office.nightly()
    assert (after["last"], after["state"], after["detail"]) == (ill, "failed", before["detail"])
    assert "ended with exit status 4 (well at " in office("status", "alice")
    assert "nothing to do" in office.reconcile()
    assert office.file.stat().st_mtime_ns == written

    office.runs("kill -KILL $$")
    assert (office.kept()["signal"], office.kept()["succeeded"]) == (9, well["ended"])


def test_what_a_shutdown_ends_is_remembered(office: Office) -> None:
    office.services(f"nightly: {{run: exec sleep 1000, {YEARLY}}}")
    office.reconcile()
    office("start", "alice/nightly")
    wait_for(lambda: office.pids("nightly"), what="it runs")
    office("kill", "--all", "--down")
    assert (office.kept()["status"], office.kept()["signal"]) == (None, 15)
    office.boots()
    office.reconcile()
    assert office.nightly()["last"] == office.kept()
    assert not office.members("nightly"), "what was missed is left out"


def test_of_who_is_killed_with_its_keeper_somebody_is_told_once(office: Office) -> None:
    """As the kernel does it where a leaf is out of memory, and all in it ends."""
    hook = "echo $RESULT of $SERVICE >>$HOME/told"
    office.services(f"nightly: {{run: exec sleep 1000, {YEARLY}, on_failure: {{run: '{hook}'}}}}")
    office.reconcile()
    office("start", "alice/nightly")
    wait_for(lambda: office.pids("nightly"), what="it runs")
    office.shop.cgroups.kill("users/alice/nightly")
    wait_for(lambda: not office.members("nightly"), what="both are gone")
    told = office.reconcile()
    how = "killed, with all that was in its leaf"
    assert f"remember that alice/nightly ended with {how}" in told
    assert f"tell how alice/nightly ended: {how}" in told
    wait_for((office.home / "told").exists, what="the hook has been called")
    wait_for(lambda: not office.members("nightly"), what="it has ended")
    assert "nothing to do" in office.reconcile()
    assert (office.home / "told").read_text() == f"{how} of alice/nightly\n"
    assert office.kept()["status"] is office.kept()["signal"] is None

    office("start", "alice/nightly")
    wait_for(lambda: office.pids("nightly"), what="it runs")
    office("stop", "alice/nightly")
    office("start", "alice/nightly")
    office.shop.cgroups.kill("users/alice/nightly")
    wait_for(lambda: not office.members("nightly"), what="both are gone")
    assert "tell how alice/nightly ended" not in office("stop", "alice/nightly"), "who may not run runs no hook either"


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"begun": null}'])
def test_a_damaged_result_is_none_and_stops_nothing(office: Office, text: str) -> None:
    office.runs("exit 4")
    office.file.write_text(text)
    office.boots()
    office.reconcile()
    assert office.nightly()["last"] is None
    assert "remember that alice/nightly ended with exit status 5" in office.runs("exit 5")
    assert office.kept()["status"] == 5


def test_a_directory_that_cannot_be_written_is_told_and_holds_nothing_up(office: Office) -> None:
    office.runs("exit 4")
    shutil.rmtree(office.file.parent)
    office.file.parent.write_text("a file")
    assert "failed   remember that alice/nightly ended with exit status 4" in office.ordered(code=1)
    assert office.nightly()["last"]["status"] == 4, "until the next boot it is known all the same"
    office.file.parent.unlink()
    assert "remember that" in office.reconcile()


def test_a_result_goes_with_its_service(office: Office) -> None:
    office.runs("exit 4")
    office.services("web: {run: exec sleep 1000}")
    assert "forget what ran as alice/nightly" in office.reconcile()
    assert not office.file.exists()

    office.runs("exit 4")
    office.services("nightly: {run: exec sleep 1000}")
    office.reconcile()
    assert not office.file.exists(), "it is no job any more"


@pytest.mark.parametrize("while_down", [False, True])
def test_a_result_goes_with_its_account(office: Office, while_down: bool) -> None:
    office.shop.account("bob")
    office.runs("exit 4")
    if while_down:
        office.boots()
    (office.shop.etc / "accounts.d/alice.yaml").unlink()
    office.reconcile()
    assert "users/alice" not in office.shop.tree()
    office.reconcile()
    assert not office.file.exists()


def test_a_file_that_is_wrong_forgets_no_result(office: Office) -> None:
    office.runs("exit 4")
    (office.shop.etc / "accounts.d/alice.yaml").write_text("account: alice\nnonsense: [")
    office.reconcile(code=4)
    assert office.kept()["status"] == 4


def test_the_daemon_remembers_at_once(office: Office, tmp_path: Path) -> None:
    log = tmp_path / "log"
    office.services(f"nightly: {{run: 'sleep 0.3; exit 6', {YEARLY}}}")
    with office.daemon(log):
        wait_for(lambda: "await the time of alice/nightly" in log.read_text(), what="it awaits its time")
        office("start", "alice/nightly")
        wait_for(office.file.exists, what="it is remembered", deadline=5)
        wait_for(lambda: "ended with exit status 6" in log.read_text(), what="and told")
        assert office.kept()["status"] == 6
        office.services("web: {run: exec sleep 1000}")
        wait_for(lambda: not office.file.exists(), what="it goes with its service")
        assert log.read_text().count("remember that") == 1
