"""A real Prometheus (Debian's package) scrapes the unit, with all that the unit denies itself."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest.machine import figures, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Sell
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long
"""tests/machine/test_prometheus.py installs Prometheus and runs them."""

UNIT = "paas-isolate-metrics.service"
WEB = "127.0.0.1:39753"
SCRAPED = "127.0.0.1:9753"
RULES = Path(__file__).parents[2] / "config/prometheus/paas-isolate.rules.yml"
CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs: [{job_name: paas-isolate, static_configs: [{targets: ['%s']}]}]
"""


@pytest.fixture(scope="module")
def unit(machine: Path) -> Iterator[None]:
    """For all tests: it reads specifications and cgroups at each scrape."""
    systemctl("start", UNIT)
    try:
        wait_for(lambda: scraped(SCRAPED) is not None, what="the unit serves", deadline=90)
        yield
    finally:
        systemctl("stop", UNIT)


@pytest.fixture
def prometheus(unit: None, tmp_path: Path) -> Iterator[None]:
    if not shutil.which("prometheus"):
        pytest.skip("needs prometheus: tests/machine/test_prometheus.py brings it")
    (tmp_path / "prometheus.yml").write_text(CONFIG % (RULES, SCRAPED))
    with (tmp_path / "log").open("wb") as log:
        options = (f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb")
        server = subprocess.Popen(["prometheus", *options, f"--web.listen-address={WEB}"], stdout=log, stderr=log)
    try:
        wait_for(lambda: scraped(WEB) is not None, what=lambda: (tmp_path / "log").read_text(), deadline=120)
        yield
    finally:
        server.terminate()
        server.wait(30)


def scraped(address: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def ask(query: str) -> list[Any]:
    words = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"http://{WEB}/api/v1/query?{words}", timeout=20) as answer:
        return list(json.load(answer)["data"]["result"])


def value(query: str) -> float | None:
    found = ask(query)
    return float(found[0]["value"][1]) if found else None


def test_the_unit_tells_the_limits_and_the_disk(sell: Sell, paas: Paas, unit: None) -> None:
    alice = sell("alice", limits={"memory": "64M", "cpu": "20%", "pids": 40})
    paas("reconcile")
    write = alice.runs("dd", "if=/dev/zero", "of=file", "bs=1M", "count=4", "oflag=direct", leaf="users/alice/other")
    assert write.wait(60) == 0
    told = scraped(SCRAPED) or ""
    assert 'paas_isolate_memory_limit_bytes{account="alice"} 67108864\n' in told
    assert 'paas_isolate_cpu_limit_cores{account="alice"} 0.2\n' in told
    assert 'paas_isolate_processes_limit{account="alice"} 40\n' in told
    (line,) = [
        line for line in told.splitlines() if line.startswith('paas_isolate_written_bytes_total{account="alice"}')
    ]
    assert int(line.split()[1]) >= 4 << 20
    assert "swap_limit_bytes" not in told or "-1" not in told


def test_a_customer_is_refused(sell: Sell, paas: Paas, unit: None) -> None:
    alice = sell("alice")
    paas("reconcile")
    program = f"import urllib.request as u\ntry: u.urlopen('http://{SCRAPED}')\nexcept u.HTTPError as e: print(e.code)"
    said, _ = alice.python(program, "users/alice/other").communicate(timeout=60)
    assert said == "403\n"


def test_prometheus_sees_what_the_kernel_counts(sell: Sell, paas: Paas, prometheus: None) -> None:
    alice = sell("alice", limits={"memory": "64M"})
    paas("reconcile")
    alice.burns_for(2, "users/alice/other").wait(60)
    used = (
        "paas_isolate_cpu_user_seconds_total{account='alice'} + paas_isolate_cpu_system_seconds_total{account='alice'}"
    )

    def agrees() -> bool:
        kernel, told = figures("users/alice", "cpu.stat")["usage_usec"] / 1e6, value(used)
        return told is not None and kernel > 0 and abs(told - kernel) <= 0.01 * kernel + 0.01

    wait_for(agrees, what="Prometheus has what the kernel has", deadline=60)
    assert value("up") == 1
    assert value("paas_isolate_memory_limit_bytes{account='alice'}") == 64 << 20
    with urllib.request.urlopen(f"http://{WEB}/api/v1/rules", timeout=20) as answer:
        rules = [rule for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]
    assert rules and {rule["health"] for rule in rules} <= {"ok", "unknown"}
