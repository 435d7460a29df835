"""`paas-isolate metrics`, with the kernel's own numbers."""

import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel import burner
from tests.support.kernel.host import ALICE, NO_LIMIT, TestHost
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

WEB = f"services: {{web: {{{NO_LIMIT}}}}}\n"


def metering(host: TestHost, text: str) -> None:
    host.configure("")
    with (host.etc / "config.yaml").open("a") as file:
        file.write(f"metering: {text}\n")


def values(told: str) -> dict[tuple[str, str, str], float]:
    return {
        (sample.name, sample.labels.get("account", ""), sample.labels.get("leaf", "")): float(sample.value)
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }


def once(host: TestHost) -> dict[tuple[str, str, str], float]:
    done = host.run("metrics", "--once")
    assert done.returncode == 0, done.stderr
    return values(done.stdout)


@contextmanager
def served(host: TestHost, log: Path) -> Iterator[int]:
    """The port of a server that runs while the block lasts."""
    with log.open("wb") as said:
        process = subprocess.Popen(host.command("metrics", "--listen", "127.0.0.1:0"), stdout=said, stderr=said)
    try:
        wait_for(lambda: "serves metrics on port" in log.read_text() or process.poll() is not None, what="it serves")
        found = re.search(r"port (\d+)", log.read_text())
        assert found, log.read_text()
        yield int(found[1])
    finally:
        process.terminate()
        assert process.wait(20) == 0


def scrape(port: int) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        return str(answer.read().decode())


def test_cpu_time_is_that_of_the_burner(host: TestHost, cgroups: CgroupTree) -> None:
    metering(host, "{metrics: {leaves: true}}")
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    seconds = burner.used(burner.begin(cgroups, "users/alice/web", 1))
    found = once(host)
    for family, leaf in (("paas_isolate_cpu", ""), ("paas_isolate_leaf_cpu", "web")):
        text = cgroups.read(f"users/alice/{leaf}".rstrip("/"), "cpu.stat") or ""
        used = sum(found[f"{family}_{part}_seconds_total", "alice", leaf] for part in ("user", "system"))
        assert used == pytest.approx(int(text.split()[1]) / 1e6, abs=1e-5)
        assert used == pytest.approx(seconds, abs=0.2)  # its clock does not count its end


def test_leaves_have_series_only_where_they_were_asked_for(host: TestHost) -> None:
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    found = once(host)
    assert found["paas_isolate_account_info", "alice", ""] == 1
    assert not [name for name, _, leaf in found if leaf or name.startswith("paas_isolate_leaf_")]


def test_nothing_is_written_by_a_look(host: TestHost) -> None:
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in host.place.rglob("*")}
    once(host)
    assert {path: path.stat().st_mtime_ns for path in host.place.rglob("*")} == before


def test_accounts_that_go_take_their_series_with_them(host: TestHost, tmp_path: Path) -> None:
    """jobstats issue 3."""
    host.account("alice", WEB)
    host.account("bob", "")
    assert host.run("reconcile").returncode == 0
    with served(host, tmp_path / "log") as port:
        assert {account for _, account, _ in values(scrape(port))} == {"", "alice", "bob"}
        (host.etc / "accounts.d/bob.yaml").unlink()
        assert host.run("reconcile").returncode == 0
        assert {account for _, account, _ in values(scrape(port))} == {"", "alice"}


def test_a_customer_reads_no_figures_of_others(host: TestHost, tmp_path: Path) -> None:
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    program = (
        "import os, socket, sys; os.setgroups([]); os.setresgid({0}, {0}, {0}); os.setresuid({0}, {0}, {0}); "
        "c = socket.create_connection(('127.0.0.1', {1}), 10); c.sendall(b'GET /metrics HTTP/1.1\\r\\n\\r\\n'); "
        "sys.stdout.write(c.recv(4096).decode())"
    )
    with served(host, tmp_path / "log") as port:
        done = subprocess.run(["/usr/bin/python3", "-ISc", program.format(ALICE, port)], capture_output=True, text=True)
        assert "403" in done.stdout or "ConnectionResetError" in done.stderr
        assert "alice" not in done.stdout
        assert "alice" in scrape(port)


def test_a_slow_scraper_holds_others_for_a_moment_only(host: TestHost, tmp_path: Path) -> None:
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    with served(host, tmp_path / "log") as port:
        slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(2)]
        begin = time.monotonic()
        assert "alice" in scrape(port)
        assert time.monotonic() - begin < 10
        for each in slow:
            each.close()


def test_a_specification_that_is_wrong_is_an_answer_and_no_end(host: TestHost, tmp_path: Path) -> None:
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    right = (host.etc / "config.yaml").read_text()
    with served(host, tmp_path / "log") as port:
        (host.etc / "config.yaml").write_text("tree: {root: /nowhere}\n")
        with pytest.raises(urllib.error.HTTPError, match="503"):
            scrape(port)
        (host.etc / "config.yaml").write_text(right)
        assert "alice" in scrape(port)


def test_a_path_is_served_to_root(host: TestHost, tmp_path: Path) -> None:
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    path = tmp_path / "m.sock"
    process = subprocess.Popen(host.command("metrics", "--listen", f"unix:{path}"), stdout=subprocess.DEVNULL)
    try:
        wait_for(path.exists, what="it listens")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            told = b"".join(iter(lambda: client.recv(1 << 16), b""))
        assert b'paas_isolate_account_info{account="alice"' in told
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert not path.exists()
