"""The packages for arm64 on an emulated machine of that architecture: what tests/packages/test_arm64.py cannot see, as
it has no kernel. A short run: customers come in, limits hold, and the programs in the kernel are loaded."""

import json
import shlex
from collections.abc import Iterator

import pytest
from testbed.guest import Guest

from tests.machine import ways_in

pytestmark = pytest.mark.long

TREE = f"/sys/fs/cgroup{ways_in.USERS}"
LIMITED = """
useradd --create-home --shell /bin/bash limited
cat >/etc/paas-isolate/accounts.d/limited.yaml <<'END'
account: limited
limits: {pids: 20}
services:
  web: {limits: {memory: 32M}}
END
paas-isolate reconcile --quiet --wait 60
"""
FORKS = "for i in $(seq 40); do sleep 10 & done; wait"
HOG = "import os; held = [os.urandom(1 << 20) for _ in range(200)]"
PATIENCE = 1200.0
"""Seconds."""


@pytest.fixture(scope="module")
def arm64() -> Iterator[Guest]:
    guest = Guest.start("arm64", architecture="arm64")
    try:
        guest.run(script=f"{ways_in.SCENE}{LIMITED}", check=True, timeout=PATIENCE)
        yield guest
    finally:
        guest.throw_away()


def test_it_is_what_it_says(arm64: Guest) -> None:
    said = arm64.run(script="uname -m; dpkg-query --show --showformat='${Architecture}\n' paas-isolate", check=True)
    assert said.out == "aarch64\narm64\n"


@pytest.mark.parametrize("account", ways_in.ACCOUNTS)
def test_a_customer_comes_in_by_ssh_and_su(arm64: Guest, account: str) -> None:
    ways_in.by_ssh_and_su(arm64, account, "")


def test_a_customer_comes_in_by_cron(arm64: Guest) -> None:
    ways_in.by_job(arm64, "", at=False)


def test_a_service_runs(arm64: Guest) -> None:
    ways_in.by_service(arm64)


def test_a_customer_starts_no_more_processes_than_allowed(arm64: Guest) -> None:
    said = arm64.run(["bash", "-c", FORKS], user="limited", timeout=PATIENCE)
    assert "Resource temporarily unavailable" in said.err
    refused = arm64.run(["cat", f"{TREE}/limited/pids.events"], check=True).out
    assert refused.startswith("max ")
    assert refused != "max 0\n"


def test_memory_of_a_service_out_ends_it_in_its_leaf(arm64: Guest) -> None:
    # By a shell: ssh itself says 255 of a program that a signal ended.
    hog = arm64.run(script=f"paas-enter limited/web -- python3 -c {shlex.quote(HOG)}; exit $?", timeout=PATIENCE)
    assert hog.code == 137
    assert "oom_group_kill 1\n" in arm64.run(["cat", f"{TREE}/limited/web/memory.events"], check=True).out


def test_the_selftest_sees_every_limit_hold(arm64: Guest) -> None:
    checks = json.loads(arm64.run(["paas-isolate", "doctor", "--selftest", "--json"], timeout=PATIENCE).out)
    assert [check for check in checks if check["verdict"] == "FAILED"] == []


def test_accounts_are_kept_apart_in_the_network(arm64: Guest) -> None:
    said = arm64.run(["paas-isolate", "net", "test", *ways_in.ACCOUNTS], timeout=PATIENCE)
    assert said.code == 0, f"{said.out}{said.err}"


def test_the_daemon_runs_and_nothing_is_left_to_do(arm64: Guest) -> None:
    assert arm64.run(["systemctl", "is-active", "paas-isolate-daemon.service"]).out == "active\n"
    assert arm64.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"], check=True).out == ""
    assert arm64.run(["paas-isolate", "diff", "--exit-code"], timeout=PATIENCE).code == 0
