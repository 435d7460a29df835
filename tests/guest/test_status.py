"""status, coverage and doctor report what is true."""

import re
import subprocess
from collections.abc import Callable

import pytest

from tests.support.guest.machine import ETC, comes_to_rest, figures, knob, tree_can_be_stopped
from tests.support.guest.paas import Paas
from tests.support.guest.people import HOG, Sell
from tests.support.waiting import wait_for

MEGABYTE = 1 << 20


def test_status_tells_limits_beside_use(sell: Sell, paas: Paas) -> None:
    limits = {"memory": "64M", "cpu": "20%", "pids": 40, "io": "unlimited"}
    alice = sell("alice", limits=limits, services={"web": {"limits": {"memory": "32M"}}})
    paas("reconcile")
    alice.holds(20, "users/alice/other")
    write = alice.runs("dd", "if=/dev/zero", "of=file", "bs=1M", "count=2", "oflag=direct", leaf="users/alice/other")
    assert write.wait(60) == 0
    assert alice.python(HOG, "users/alice/web").wait(60) == -9

    shown = {line["path"]: line for line in paas("status", "alice", "--json").json["cgroups"]}

    assert set(shown) == {"users/alice", *(f"users/alice/{leaf}" for leaf in ("login", "other", "web"))}
    assert {line["state"] for line in shown.values()} == {"ok"}
    use, knobs = shown["users/alice"]["use"], shown["users/alice"]["knobs"]
    assert 20 * MEGABYTE < use["memory"] < 40 * MEGABYTE
    assert use["pids"] == 1
    assert 0 < use["cpu"] <= figures("users/alice", "cpu.stat")["usage_usec"]
    assert use["written"] >= 2 * MEGABYTE
    assert use["killed"] >= 1
    assert shown["users/alice/web"]["use"]["killed"] >= 1
    assert shown["users/alice/other"]["use"]["killed"] == 0
    assert {name: knob("users/alice", name) for name in knobs} == knobs
    words = paas("status").out
    assert re.search(r"^alice +ok +2\d(\.\d)?M +64M +1 +40 +[\d.]+s +20% .* killed", words, re.M)


def test_status_tells_forks_that_were_refused_and_time_that_was_waited(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", services={"web": {"limits": {"pids": 5}}, "slow": {"limits": {"cpu": "5%"}}})
    paas("reconcile")
    alice.wants_processes(10, "users/alice/web")
    alice.burns("users/alice/slow")
    wait_for(lambda: figures("users/alice/slow", "cpu.stat")["nr_throttled"] > 2, what="it had to wait")

    shown = {line["path"]: line["use"] for line in paas("status", "alice", "--json").json["cgroups"]}

    assert shown["users/alice/web"]["refused"] == figures("users/alice/web", "pids.events")["max"] >= 1
    assert shown["users/alice/web"]["pids"] == 5
    assert shown["users/alice/slow"]["throttled"] > 2


def test_coverage_lists_every_process_that_is_not_where_it_belongs(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", services={"web": {"match": {"program": "sleep"}}})
    sell("bob")
    paas("reconcile")
    stray, misplaced = alice.sleeps(), alice.sleeps("users/bob/other")
    at_home = alice.sleeps("users/alice/web")

    answer = paas("coverage", code=3)

    assert answer.out.splitlines()[-1] == "1 of 3 processes confined"
    assert re.search(rf"^{stray} +alice +sleep +\w.* +/\S+ +users/alice/web *$", answer.out, re.M)
    assert re.search(rf"^{misplaced} .* another account +users/bob/other +users/alice/web *$", answer.out, re.M)
    assert not re.search(rf"^{at_home} ", answer.out, re.M)
    told = paas("coverage", "--json", code=3).json
    assert (told["confined"], told["total"]) == (1, 3)

    paas("reconcile")
    assert paas("coverage").out == "3 of 3 processes confined\n"


@pytest.fixture
def fit(running: Callable[[str], None], paas: Paas) -> None:
    """The machine as an administrator has it."""
    running("paas-isolate.timer")
    paas("reconcile")
    paas("doctor")


BREAKS = {
    "tree": (["systemctl", "stop", "paas-tree.service"], r"tree|paas-tree\.service"),
    "shutdown": (["systemctl", "stop", "paas-isolate-shutdown.service"], "paas-isolate-shutdown.service"),
    "boot": (["systemctl", "disable", "paas-isolate-boot.service"], "paas-isolate-boot.service"),
    "schedule": (["systemctl", "stop", "paas-isolate.timer"], "schedule"),
    "owner": (["chown", "daemon:", str(ETC)], "specifications"),
    "mode": (["chmod", "o+w", str(ETC)], "specifications"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_doctor_finds_what_is_broken_and_its_command_mends_it(fit: None, paas: Paas, what: str) -> None:
    command, name = BREAKS[what]
    if what == "tree" and not tree_can_be_stopped():
        pytest.skip("before systemd 254 the tree refuses to be stopped")
    subprocess.run(command, check=True, capture_output=True)
    try:
        checks = paas("doctor", "--json", code=5).json
        failed = [check for check in checks if check["verdict"] == "FAILED"]
        assert failed
        assert all(re.fullmatch(name, check["name"]) for check in failed)
        assert f"FAILED  {failed[0]['name']}: {failed[0]['found']}" in paas("doctor", code=5).out
    finally:
        for check in failed:
            subprocess.run(["sh", "-c", check["mend"]], check=True, capture_output=True)
    comes_to_rest("paas-isolate-boot.service")
    paas("doctor")


def test_doctor_tells_a_beginner_what_is_fit_too(fit: None, paas: Paas) -> None:
    checks = {check["name"]: check for check in paas("doctor", "--json").json}

    assert {name for name, check in checks.items() if check["verdict"] == "FAILED"} == set()
    assert checks["controllers"]["found"].startswith("cpuset cpu io memory pids at /sys/fs/cgroup")
    assert checks["schedule"]["found"] == "reconcile runs by timer"
    assert checks["knobs"]["verdict"] == "OK"
