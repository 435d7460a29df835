"""Every limit of the table, written through YAML, reads back from this kernel as the text that we expect.

Each case is a service of one account, so that one reconcile writes all of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest.machine import io_figures, knob, run, write_knob
from tests.support.guest.paas import Answer, Paas
from tests.support.guest.people import Customers, Sell, Specs, seconds_of

NOTHING = {
    "cpu.max": "max 100000",
    "cpu.max.burst": "0",
    "cpu.weight": "100",
    "cpuset.cpus": "",
    "io.max": "",
    "io.weight": "default 100",
    "memory.high": "max",
    "memory.low": "0",
    "memory.max": "max",
    "memory.min": "0",
    "memory.oom.group": "1",
    "memory.swap.max": "max",
    "pids.max": "max",
}
"""What a service has whose YAML says nothing, in an account without pids: the kernel's defaults, but for what dies."""

ACCOUNT = {"memory": "256M"}
MEMORY = 256 << 20
DISK = "254:0"


@dataclass(frozen=True)
class Case:
    """`limits` as the YAML says them, and the knobs that differ from NOTHING then."""

    name: str
    limits: dict[str, Any]
    knobs: dict[str, str]


CASES = [
    Case("cpu-least", {"cpu": "1%"}, {"cpu.max": "1000 100000"}),
    Case("cpu-percent", {"cpu": "150%"}, {"cpu.max": "150000 100000"}),
    Case("cpu-cores", {"cpu": 1.5}, {"cpu.max": "150000 100000"}),
    Case("cpu-fraction", {"cpu": "33.333%"}, {"cpu.max": "33333 100000"}),
    Case("cpu-above-the-machine", {"cpu": "1600%"}, {"cpu.max": "200000 100000"}),
    Case("cpu-unlimited", {"cpu": "unlimited"}, {}),
    Case("burst", {"cpu": {"max": "50%", "burst": "12.5%"}}, {"cpu.max": "50000 100000", "cpu.max.burst": "12500"}),
    Case(
        "burst-of-all", {"cpu": {"max": "50%", "burst": "50%"}}, {"cpu.max": "50000 100000", "cpu.max.burst": "50000"}
    ),
    Case("burst-alone", {"cpu": {"burst": "70%"}}, {"cpu.max.burst": "70000"}),
    Case(
        "burst-above-the-machine",
        {"cpu": {"max": "1600%", "burst": "400%"}},
        {"cpu.max": "200000 100000", "cpu.max.burst": "200000"},
    ),
    *(
        Case(f"cpu-weight-{weight}", {"cpu": {"weight": weight}}, {"cpu.weight": str(weight)})
        for weight in (1, 2, 3, 49, 99, 101, 1023, 9999, 10000)
    ),
    Case("set-one", {"cpu": {"set": 1}}, {"cpuset.cpus": "1"}),
    Case("set-range", {"cpu": {"set": "0-1"}}, {"cpuset.cpus": "0-1"}),
    Case("set-unordered", {"cpu": {"set": "1, 0"}}, {"cpuset.cpus": "0-1"}),
    Case("memory-least", {"memory": "1M"}, {"memory.max": "1048576"}),
    Case("memory-not-on-a-page", {"memory": 10000001}, {"memory.max": "9998336"}),
    Case("memory-fraction", {"memory": "1.5M"}, {"memory.max": "1572864"}),
    Case("memory-huge", {"memory": "4095P"}, {"memory.max": str(4095 << 50)}),
    Case("memory-half-of-the-account", {"memory": "50%"}, {"memory.max": str(MEMORY // 2)}),
    Case("memory-odd-share", {"memory": "33.3%"}, {"memory.max": "89387008"}),
    Case("memory-unlimited", {"memory": "max"}, {}),
    Case("high", {"memory": {"high": "64M"}}, {"memory.high": "67108864"}),
    Case("high-share-of-the-account", {"memory": {"high": "90%"}}, {"memory.high": "241590272"}),
    Case(
        "high-share-of-its-own",
        {"memory": {"max": "64M", "high": "90%"}},
        {"memory.max": "67108864", "memory.high": "60395520"},
    ),
    Case("low", {"memory": {"low": "8M"}}, {"memory.low": "8388608"}),
    Case("low-share", {"memory": {"max": "64M", "low": "12.5%"}}, {"memory.max": "67108864", "memory.low": "8388608"}),
    Case("min", {"memory": {"min": "4097"}}, {"memory.min": "4096"}),
    Case("min-of-all", {"memory": {"max": "64M", "min": "100%"}}, {"memory.max": "67108864", "memory.min": "67108864"}),
    Case("swap-none", {"memory": {"swap": 0}}, {"memory.swap.max": "0"}),
    Case("swap", {"memory": {"swap": "16M"}}, {"memory.swap.max": "16777216"}),
    Case("swap-unlimited", {"memory": {"swap": "unlimited"}}, {}),
    Case("kill-process", {"memory": {"kill": "process"}}, {"memory.oom.group": "0"}),
    Case("kill-leaf", {"memory": {"kill": "leaf"}}, {}),
    Case("pids-one", {"pids": 1}, {"pids.max": "1"}),
    Case("pids-most", {"pids": 4194304}, {"pids.max": "4194304"}),
    Case("pids-unlimited", {"pids": "infinity"}, {}),
    Case("io", {"io": "20M"}, {"io.max": f"{DISK} rbps=20971520 wbps=20971520 riops=max wiops=max"}),
    Case("io-least", {"io": {"write": "4K"}}, {"io.max": f"{DISK} rbps=max wbps=4096 riops=max wiops=max"}),
    Case(
        "io-ops", {"io": {"read_ops": 2, "write_ops": 1000}}, {"io.max": f"{DISK} rbps=max wbps=max riops=2 wiops=1000"}
    ),
    Case(
        "io-most",
        {"io": {"read": "4095P", "write_ops": 4294967294}},
        {"io.max": f"{DISK} rbps={4095 << 50} wbps=max riops=max wiops=4294967294"},
    ),
    Case("io-unlimited", {"io": "unlimited"}, {}),
    Case("io-of", {"io": {"read": "1M", "of": "/"}}, {"io.max": f"{DISK} rbps=1048576 wbps=max riops=max wiops=max"}),
    Case("io-weight-least", {"io": {"weight": 1}}, {"io.weight": "default 1"}),
    Case("io-weight-most", {"io": {"weight": 10000}}, {"io.weight": "default 10000"}),
]
NAMES = [case.name for case in CASES]


def found(service: str) -> dict[str, str]:
    return {name: knob(f"users/alice/{service}", name) for name in NOTHING}


Written = dict[str, tuple[dict[str, dict[str, str]], tuple[Answer, Answer]]]
"""By round: the knobs of each service, and the answers of the two looks that make and find them so."""
ROUNDS: dict[str, dict[str, dict[str, object]]] = {
    "new": {case.name: case.limits for case in CASES},
    "changed": {case.name: after.limits for case, after in zip(CASES, CASES[1:] + CASES[:1], strict=True)},
    "taken back": {case.name: {} for case in CASES},
}


@pytest.fixture(scope="module")
def written(scene: tuple[Specs, Paas]) -> Written:
    spec, paas = scene
    spec.config()  # no plan for those who name none
    rounds: Written = {}
    for name, wishes in ROUNDS.items():
        services = {service: {"limits": limits} for service, limits in wishes.items()}
        spec.sell("alice", limits=ACCOUNT, services=services)
        answers = paas("reconcile", code=None), paas("diff", "--exit-code", code=None)
        rounds[name] = {service: found(service) for service in wishes}, answers
    return rounds


@pytest.mark.parametrize("name", ROUNDS)
def test_a_second_look_finds_nothing_to_do(written: Written, name: str) -> None:
    _, (first, second) = written[name]
    assert (first.code, second.code, second.out) == (0, 0, "nothing differs\n"), first.err + second.out


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_a_limit_reads_back_as_it_was_written(written: Written, case: Case) -> None:
    assert written["new"][0][case.name] == {**NOTHING, **case.knobs}


@pytest.mark.parametrize(("before", "case"), list(zip(CASES[-1:] + CASES[:-1], CASES, strict=True)), ids=NAMES)
def test_a_limit_takes_the_place_of_another(written: Written, before: Case, case: Case) -> None:
    assert written["changed"][0][before.name] == {**NOTHING, **case.knobs}


def test_a_limit_that_is_taken_back_leaves_the_kernels_default(written: Written) -> None:
    assert written["taken back"][0] == dict.fromkeys(NAMES, NOTHING)


def test_an_account_and_its_services_have_their_own_limits(spec: Specs, sell: Sell, paas: Paas) -> None:
    spec.config()
    every = {
        "cpu": {"max": "80%", "weight": 50, "burst": "20%", "set": "0-1"},
        "memory": {"max": "128M", "high": "120M", "low": "10%", "min": "4M", "swap": "1M"},
        "pids": 100,
        "io": {"read": "8M", "write": "4M", "read_ops": 800, "write_ops": 400, "weight": 200},
    }
    alice = sell("alice", limits=every, services={"web": {}})

    paas("reconcile")

    assert {name: knob("users/alice", name) for name in NOTHING} == {
        "cpu.max": "80000 100000",
        "cpu.max.burst": "20000",
        "cpu.weight": "50",
        "cpuset.cpus": "0-1",
        "io.max": f"{DISK} rbps=8388608 wbps=4194304 riops=800 wiops=400",
        "io.weight": "default 200",
        "memory.high": str(120 << 20),
        "memory.low": "13418496",
        "memory.max": str(128 << 20),
        "memory.min": str(4 << 20),
        "memory.oom.group": "0",
        "memory.swap.max": str(1 << 20),
        "pids.max": "100",
    }
    # What no service says comes from the account above it; only logins keep room for themselves.
    assert found("web") == {**NOTHING, "pids.max": "68"}
    assert found("login") == {**NOTHING, "memory.oom.group": "0"}
    assert alice.sleeps("users/alice/web")
    paas("diff", "--exit-code")


def test_all_customers_together_have_the_ceiling_and_lost_logins_the_penalty(spec: Specs, paas: Paas) -> None:
    spec.config(
        ceiling={"memory": "50%", "pids": "50%", "cpu_weight": 30},
        penalty={"cpu": "5%", "memory": "64M", "pids": 20},
    )

    paas("reconcile")
    paas("diff", "--exit-code")

    with open("/proc/meminfo") as lines:
        total = int(next(lines).split()[1]) << 10
    assert knob("users", "memory.max") == str(total // 2 // 4096 * 4096)
    with open("/proc/sys/kernel/pid_max") as most, open("/proc/sys/kernel/threads-max") as threads:
        assert knob("users", "pids.max") == str(min(int(most.read()), int(threads.read())) // 2)
    assert knob("..", "cpu.weight") == "30"
    assert (knob("penalty", "cpu.max"), knob("penalty", "memory.max")) == ("5000 100000", str(64 << 20))
    assert knob("penalty", "pids.max") == "20"


@pytest.mark.parametrize("point", ["/srv/partition", "/srv/mapped"])
def test_io_is_limited_on_the_device_below_a_partition_or_a_mapping(
    disks: dict[str, str], spec: Specs, sell: Sell, paas: Paas, point: str
) -> None:
    spec.config()
    device = disks[point]
    alice = sell("alice", limits={"io": {"write": "1M", "of": point}})
    (Path(point) / "alice").mkdir(exist_ok=True)
    run("chown", "alice", f"{point}/alice")

    paas("reconcile")
    paas("diff", "--exit-code")

    assert knob("users/alice", "io.max") == f"{device} rbps=max wbps=1048576 riops=max wiops=max"
    words = ("dd", "if=/dev/zero", f"of={point}/alice/file", "bs=64k", "count=32", "oflag=direct")
    assert seconds_of(alice.runs(*words, leaf="users/alice/other")) > 1.6
    assert io_figures("users/alice", device)["wbytes"] >= 2 << 20


def test_a_home_decides_on_which_device_io_is_limited(
    disks: dict[str, str], spec: Specs, customer: Customers, paas: Paas
) -> None:
    spec.config()
    homes = {name: f"/srv/{name}/{name}" for name in ("partition", "mapped")}
    for name, home in homes.items():
        customer(name, "--home-dir", home)
        spec.sell(name, limits={"io": {"read": "2M"}})

    paas("reconcile")
    paas("diff", "--exit-code")

    for name in homes:
        device = disks[f"/srv/{name}"]
        assert knob(f"users/{name}", "io.max") == f"{device} rbps=2097152 wbps=max riops=max wiops=max"


def test_io_that_was_limited_by_hand_on_another_device_is_taken_back(
    disks: dict[str, str], spec: Specs, sell: Sell, paas: Paas
) -> None:
    spec.config()
    sell("alice", limits={"io": {"read": "1M"}})
    paas("reconcile")
    for device in disks.values():
        write_knob("users/alice", "io.max", f"{device} rbps=5000000")

    paas("reconcile")
    paas("diff", "--exit-code")

    assert knob("users/alice", "io.max") == f"{DISK} rbps=1048576 wbps=max riops=max wiops=max"
    assert knob("users/alice", "io.weight") == "default 100"
