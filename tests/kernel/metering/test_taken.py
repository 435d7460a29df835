"""Who takes samples: the daemon, or each run where there is none. Nobody else imports SQLite."""

import os
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel import burner
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.kernel.running_daemon import RunningDaemon
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

WEB = f"services: {{web: {{{NO_LIMIT}}}}}\n"
FIRST = 1_300_000_000 + 100 * os.getpid()


def metering(host: TestHost, text: str = "{every: 1s}") -> None:
    host.configure("")
    with (host.etc / "config.yaml").open("a") as file:
        file.write(f"metering: {text}\n")


def modules(host: TestHost) -> set[str]:
    """What a run of every minute imports."""
    words = host.command("reconcile", "--cron")
    at = words.index("-m")
    done = subprocess.run([*words[:at], "-X", "importtime", *words[at:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def cpu(host: TestHost, leaf: str = "") -> float:
    with closing(sqlite3.connect(host.place / "state/ledger/ledger.db")) as connection:
        (found,) = connection.execute(
            "SELECT sum(user + system) FROM uses JOIN spans ON spans.id = span JOIN series ON series.id = series "
            "WHERE kind = 'day' AND directory = 'alice' AND leaf = ?",
            (leaf,),
        ).fetchone()
    return float(found or 0) / 1e6


def test_a_run_without_metering_imports_no_sqlite(host: TestHost) -> None:
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    assert "sqlite3" not in modules(host)
    assert not (host.place / "state/ledger").exists()


def test_each_run_takes_a_sample_unless_one_was_just_taken(host: TestHost, cgroups: CgroupTree) -> None:
    metering(host, "{}")
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    assert "sqlite3" not in modules(host)  # the last sample is younger than half an interval
    seconds = burner.used(burner.begin(cgroups, "users/alice/web", 1))
    (host.place / "run/sampled").unlink()
    assert "sqlite3" in modules(host)
    assert cpu(host, "web") == pytest.approx(seconds, rel=0.01, abs=burner.END)
    assert cpu(host) == pytest.approx(seconds, rel=0.01, abs=burner.END)


def test_a_leaf_that_a_run_removes_is_read_before(host: TestHost, cgroups: CgroupTree) -> None:
    metering(host, "{}")
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    seconds = burner.used(burner.begin(cgroups, "users/alice/web", 1))
    host.account("alice", "")
    assert host.run("reconcile").returncode == 0
    assert not cgroups.exists("users/alice/web")
    assert cpu(host, "web") == pytest.approx(seconds, rel=0.01, abs=burner.END)


def test_labels_change_nothing_of_the_kernel_and_outlive_their_account(host: TestHost) -> None:
    metering(host, "{}")
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    host.account("alice", WEB + "labels: {reseller: north}\n")
    assert host.run("diff", "--exit-code").returncode == 0
    (host.place / "run/sampled").unlink()
    assert host.run("reconcile").stdout == "nothing to do\n"
    (host.etc / "accounts.d/alice.yaml").unlink()
    assert host.run("reconcile", "--remove").returncode == 0
    assert "north" in host.run("usage", "--by-label", "reseller").stdout


def test_a_ledger_that_cannot_be_written_keeps_no_account_from_its_limits(host: TestHost, cgroups: CgroupTree) -> None:
    metering(host, "{}")
    host.account("alice", WEB)
    (host.place / "state/ledger").write_text("a file where the directory should be")
    done = host.run("reconcile")
    assert done.returncode == 0
    assert "what accounts use is not measured" in done.stderr
    assert cgroups.exists("users/alice/web")


def test_the_daemon_takes_samples_and_the_last_one_as_it_ends(
    tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, tmp_path: Path
) -> None:
    host = TestHost(tmp_path_factory.mktemp("metered"), cgroups, FIRST)
    metering(host)
    host.account("alice", WEB)
    daemon = RunningDaemon(host, tmp_path / "log")
    try:
        sampled = host.place / "run/sampled"
        wait_for(lambda: sampled.exists() and sampled.read_text().endswith(" daemon\n"), what="a sample was taken")
        seconds = burner.used(burner.begin(cgroups, "users/alice/web", 1))
        time.sleep(1.2)
        assert "sqlite3" not in modules(host)  # the daemon does it
    finally:
        daemon.end()
    assert cpu(host, "web") == pytest.approx(seconds, rel=0.01, abs=burner.END)
    assert "not measured" not in (tmp_path / "log").read_text()
