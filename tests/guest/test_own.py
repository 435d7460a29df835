"""`paas-isolate me`, installed, run by customers: with and without the daemon."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.guest.machine import DAEMON, daemon, figures, knob, systemctl
from tests.support.guest.paas import INSTALLED
from tests.support.guest.people import Customer, Specs
from tests.support.waiting import wait_for

LIMITS = {"pids": 40, "memory": "64M", "cpu": "unlimited"}  # an emulated Python is throttled for long
SERVICES = {"web": {"limits": {"pids": 5, "memory": "20M"}}}


@pytest.fixture
def alice(spec: Specs, sell: Callable[..., Customer]) -> Iterator[Customer]:
    """With bob beside, on a machine with a network and the daemon."""
    spec.config(network={})
    sell("bob", limits={"pids": 41})
    customer = sell("alice", plan="small", limits=LIMITS, services=SERVICES)
    with daemon(accounts=2):
        assert knob("users/alice", "pids.max") == "40"
        yield customer


def me(customer: Customer, *options: str, leaf: str = "users/alice/other", code: int = 0) -> str:
    said, _ = (program := customer.runs(INSTALLED, "me", *options, leaf=leaf)).communicate(timeout=60)
    assert program.returncode == code, said
    return said


def told(customer: Customer) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(me(customer, "--json"))
    return answer


def test_a_customer_sees_limits_use_and_what_was_hit(alice: Customer) -> None:
    before = told(alice)
    assert (before["account"], before["plan"], before["hits"]) == ("alice", "small", [])
    assert [re.sub(r"\d+$", "", address) for address in before["addresses"]] == ["10.77.0.", "fd77:7061:6173::"]
    lines = {cgroup["name"]: cgroup for cgroup in before["cgroups"]}
    assert [*lines] == ["alice", "web", "login", "other"]
    assert {name: knob("users/alice", name) for name in lines["alice"]["knobs"]} == lines["alice"]["knobs"]
    assert lines["alice"]["use"]["pids"] == 1

    alice.wants_processes(10, "users/alice/web")
    wait_for(lambda: figures("users/alice/web", "pids.events")["max"], what="forks are refused")
    after = told(alice)
    refused = [hit for hit in after["hits"] if hit["what"] == "refused"]
    assert [hit["service"] for hit in refused] == ["web"]
    assert refused[0]["number"] == figures("users/alice/web", "pids.events")["max"]
    assert after["watched"] <= refused[0]["since"] <= refused[0]["until"]

    words = me(alice)
    assert words.startswith("account alice, plan small\naddresses 10.77.0.")
    assert re.search(r"^alice +ok +\S+ +64M +\d+ +40 ", words, re.M)
    assert re.search(r"^\d\d:\d\d:\d\d to .*: \d+ refused by the limit of processes in web$", words, re.M)
    assert "bob" not in words + json.dumps(after)


def test_the_kernel_kills_and_it_is_known(alice: Customer) -> None:
    assert told(alice)["hits"] == []
    hog = alice.python("a = [bytearray(1 << 20) for _ in range(60)]", "users/alice/web")
    assert hog.wait(60) == -9
    killed = [hit for hit in told(alice)["hits"] if hit["what"] == "killed"]
    assert [(hit["service"], hit["number"]) for hit in killed] == [("web", 1)]  # the kernel counts it twice: a group


def test_without_the_daemon_less_is_known(alice: Customer) -> None:
    systemctl("stop", DAEMON)
    words = me(alice)
    assert words.startswith("account alice\n")
    assert re.search(r"^alice +ok +\S+ +64M +\d+ +40 ", words, re.M)
    assert "the daemon does not answer" in words
    assert "in no account" in me(alice, leaf="", code=5)
