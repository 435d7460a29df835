"""`logs` shows root what a customer wrote, and gives the customer nothing of root's."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.service_host import ALICE, ServiceHost, opened
from tests.support.kernel.terminals import Terminal
from tests.support.paths import HOSTILE

pytestmark = pytest.mark.kernel

OWN_PROCESSES = (HOSTILE / "own_processes.py").read_text()


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path) -> Iterator[ServiceHost]:
    with opened(ServiceHost, tmp_path_factory, cgroups, keeper) as work:
        work.services("worker: {run: exec sleep 1000}")
        (work.home / "logs").mkdir()
        (work.home / "logs/worker.log").write_text("".join(f"line {number}\n" for number in range(1, 100)))
        for path in (work.home / "logs", work.home / "logs/worker.log"):
            os.chown(path, ALICE, ALICE)
        yield work


def test_the_last_lines_are_shown(work: ServiceHost) -> None:
    assert work("logs", "--lines", "2", "alice/worker") == "line 98\nline 99\n"


@pytest.mark.hostile
def test_no_process_of_the_customers_holds_roots_terminal(work: ServiceHost) -> None:
    """What is theirs they may trace, and with it the terminal and the keys of root that it has."""
    with Terminal(work.command("logs", "--follow", "alice/worker"), dict(os.environ)) as terminal:
        terminal.until("line 99")
        line = ["/usr/bin/python3", "-IS", "-c", OWN_PROCESSES, "users/alice"]
        done = subprocess.run(line, user=ALICE, group=ALICE, extra_groups=[], capture_output=True, text=True, cwd="/")
        assert (done.stdout, done.stderr) == ("", "")


def test_a_log_that_is_moved_away_is_followed_by_the_next(work: ServiceHost) -> None:
    log = work.home / "logs/worker.log"
    with Terminal(work.command("logs", "--follow", "--lines", "1", "alice/worker"), dict(os.environ)) as terminal:
        terminal.until("line 99")
        with log.open("a") as file:
            file.write("more\n")
        terminal.until("more")
        log.rename(log.with_suffix(".1"))
        log.write_text("anew\n")
        os.chown(log, ALICE, ALICE)
        said = terminal.until("anew")
        assert "line 98" not in said
        log.write_text("cut\n")
        terminal.until("cut")


@pytest.mark.hostile
@pytest.mark.parametrize(("target", "why"), [("/etc/shadow", "Permission denied"), ("fifo", "no regular file")])
def test_a_link_leads_to_nothing_that_is_not_theirs(work: ServiceHost, target: str, why: str) -> None:
    log = work.home / "logs/worker.log"
    log.unlink()
    if target == "fifo":
        os.mkfifo(log)
        os.chown(log, ALICE, ALICE)
    else:
        log.symlink_to(target)
    assert why in work("logs", "alice/worker", code=1)
