"""A memory limit is lowered under running processes: memory is reclaimed first, the limit stays pending while that
fails, and nobody is killed. While limits change, none is ever wider than both its old and its new value."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.guest.machine import TREE, figures, is_alive, knob
from tests.support.guest.paas import INSTALLED, Paas
from tests.support.guest.people import Customers, Sell, Specs, hears, tell
from tests.support.waiting import wait_for

MEGABYTE = 1 << 20


@pytest.mark.parametrize("place", ["account", "service"])
def test_memory_that_cannot_be_had_stays_pending_until_it_is_free(
    sell: Sell, customer: Customers, paas: Paas, place: str
) -> None:
    path = {"account": "users/alice", "service": "users/alice/web"}[place]

    def limit(memory: str) -> None:
        limits = {"memory": memory}
        services = {"web": {"limits": limits}} if place == "service" else {"web": {}}
        sell("alice", limits=limits if place == "account" else {}, services=services)

    limit("96M")
    alice = customer("alice")
    paas("reconcile")
    program = alice.holds(48, "users/alice/web")

    limit("32M")
    answer = paas("reconcile", code=4)

    step = f"lower memory.max of {path} to {32 * MEGABYTE} (was {96 * MEGABYTE})"
    assert re.search(rf"pending +{re.escape(step)}: .* are in use and cannot be reclaimed down to 32M", answer.err)
    assert knob(path, "memory.max") == str(96 * MEGABYTE)
    assert knob(path, "memory.high") == "max"  # borrowed for the attempt, and given back
    assert program.poll() is None
    assert figures("users/alice", "memory.events")["oom_kill"] == 0
    told = paas("status").out
    assert re.search(r"^alice +pending ", told, re.M)
    assert f"alice: to do: {step}" in told

    tell(program)
    hears(program, "free")
    paas("reconcile")

    assert knob(path, "memory.max") == str(32 * MEGABYTE)
    assert program.poll() is None
    assert re.search(r"^alice +ok ", paas("status").out, re.M)


def test_page_cache_is_reclaimed_and_the_limit_goes_through_at_once(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", limits={"memory": "96M", "io": "unlimited"})
    paas("reconcile")
    reads = alice.runs(
        "head -c 48M /dev/zero > file; sync file; cat file > /dev/null; echo read; read line", leaf="users/alice/other"
    )
    hears(reads, "read")
    assert int(knob("users/alice", "memory.current")) > 40 * MEGABYTE

    sell("alice", limits={"memory": "16M", "io": "unlimited"})
    paas("reconcile")

    assert knob("users/alice", "memory.max") == str(16 * MEGABYTE)
    assert knob("users/alice", "memory.high") == "max"
    assert int(knob("users/alice", "memory.current")) <= 16 * MEGABYTE
    assert is_alive(reads.pid)
    assert figures("users/alice", "memory.events")["oom_kill"] == 0


def test_one_account_that_has_to_wait_holds_up_no_other(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", limits={"memory": "64M"})
    sell("bob", limits={"memory": "64M"}).sleeps()
    paas("reconcile")
    alice.holds(40, "users/alice/other")

    sell("alice", limits={"memory": "16M", "pids": 30})
    sell("bob", limits={"memory": "16M", "pids": 30})
    paas("reconcile", code=4)

    assert (knob("users/alice", "memory.max"), knob("users/alice", "pids.max")) == (str(64 * MEGABYTE), "30")
    assert (knob("users/bob", "memory.max"), knob("users/bob", "pids.max")) == (str(16 * MEGABYTE), "30")


WIDE = {
    "cpu": {"max": "100%", "burst": "50%"},
    "memory": {"max": "128M", "high": "112M", "swap": "64M"},
    "pids": 90,
    "io": {"read": "8M", "write": "8M", "read_ops": 800, "write_ops": 800},
}
TIGHT = {
    "cpu": {"max": "30%", "burst": "10%"},
    "memory": {"max": "48M", "high": "40M", "swap": "16M"},
    "pids": 40,
    "io": {"read": "2M", "write": "2M", "read_ops": 200, "write_ops": 200},
}
CROSSED = {
    "cpu": {"max": "20%", "burst": "20%"},
    "memory": {"max": "64M", "high": "32M", "swap": "96M"},
    "pids": 60,
    "io": {"read": "9M", "write": "1M", "read_ops": 900, "write_ops": 100},
}
"""Some of it wider than TIGHT, some of it tighter."""

CHANGES = {
    "tighter": (WIDE, TIGHT),
    "wider": (TIGHT, WIDE),
    "both": (TIGHT, CROSSED),
    "both, the other way": (CROSSED, TIGHT),
    "from nothing": ({}, TIGHT),
    "to nothing": (TIGHT, {}),
}
KNOBS = ("cpu.max", "cpu.max.burst", "memory.max", "memory.high", "memory.swap.max", "pids.max", "io.max")
PLACES = ("users/alice", "users/alice/web")


def measures(texts: dict[str, str]) -> dict[str, float]:
    """What a cgroup may have, as numbers that can be compared: CPU time with the burst on top of it, bytes, …"""
    numbers = {name: _number(texts[name].split()[0]) for name in KNOBS if name != "io.max"}
    speeds = dict(word.split("=") for word in texts["io.max"].split()[1:])
    for key in ("rbps", "wbps", "riops", "wiops"):
        numbers[key] = _number(speeds.get(key, "max"))
    numbers["cpu in one burst"] = numbers["cpu.max"] + numbers.pop("cpu.max.burst")
    return numbers


def _number(text: str) -> float:
    return float("inf") if text == "max" else float(text)


def all_knobs() -> dict[str, dict[str, str]]:
    return {path: {name: knob(path, name) for name in KNOBS} for path in PLACES}


def assert_never_wider(
    before: dict[str, dict[str, str]], moments: Iterable[dict[str, dict[str, str]]], after: dict[str, dict[str, str]]
) -> None:
    for path in PLACES:
        least, most = measures(before[path]), measures(after[path])
        for moment in moments:
            for what, amount in measures(moment[path]).items():
                assert amount <= max(least[what], most[what]), f"{what} of {path} was {amount}: {moment[path]}"


@pytest.mark.parametrize("change", CHANGES)
def test_no_limit_is_wider_than_before_and_after_at_any_write(
    spec: Specs, sell: Sell, paas: Paas, change: str, tmp_path: Path
) -> None:
    """The writes of a run, one by one, as strace saw them: what the limits were after each."""
    spec.config()
    begin, end = CHANGES[change]
    alice = sell("alice", limits=begin, services={"web": {"limits": begin}})
    paas("reconcile")
    alice.sleeps("users/alice/web")
    before = all_knobs()
    sell("alice", limits=end, services={"web": {"limits": end}})

    log = tmp_path / "strace"
    words = ["strace", "-f", "--seccomp-bpf", "-y", "-s", "200", "-e", "trace=write", "-o", str(log), INSTALLED]
    subprocess.run([*words, "reconcile"], check=True, capture_output=True)

    now, moments = {path: dict(texts) for path, texts in before.items()}, []
    for path, name, text in writes(log.read_text()):
        if path in now and name in KNOBS:
            now[path][name] = "" if text.endswith("rbps=max wbps=max riops=max wiops=max") else text
            moments.append({path: dict(texts) for path, texts in now.items()})
    assert len(moments) >= 8
    assert now == all_knobs()  # or what strace saw was not all of it
    assert now != before
    assert_never_wider(before, moments, now)
    paas("diff", "--exit-code")


def writes(log: str) -> list[tuple[str, str, str]]:
    """Cgroup, knob and text of each write into the tree."""
    found = re.findall(rf'write\(\d+<{TREE}/([^>]+)/([^/>]+)>, "([^"]*)", \d+\) = \d', log)
    return [(path, name, text.replace("\\n", "")) for path, name, text in found]


def test_no_limit_is_wider_than_before_and_after_while_somebody_watches(spec: Specs, sell: Sell, paas: Paas) -> None:
    spec.config()
    seen = []
    for begin, end in CHANGES.values():
        sell("alice", limits=begin, services={"web": {"limits": begin}}).sleeps()
        paas("reconcile")
        before = all_knobs()
        sell("alice", limits=end, services={"web": {"limits": end}})

        run = paas.start("reconcile")
        looks = [before]
        while not run.has_ended():
            looks.append(all_knobs())
        assert run.answer().code == 0

        # A look that is not seen twice may have had a write between two of its reads: then it never was so.
        assert_never_wider(
            before, [look for look, last in zip(looks[1:], looks, strict=False) if look == last], all_knobs()
        )
        seen += [look not in (before, all_knobs()) for look in looks]
    assert any(seen), "no look fell into a change"


def test_a_new_account_has_its_limits_before_anybody_moves_in(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", limits=TIGHT)
    pids = [alice.sleeps() for _ in range(5)]

    run = paas.start("reconcile")
    wait_for(lambda: (TREE / "users/alice/other").exists() or run.has_ended(), what="the leaf is there")
    while not knob("users/alice/other", "cgroup.procs"):  # as quick as can be, and as long as the run
        assert not run.has_ended()
    limits = {name: knob("users/alice", name) for name in KNOBS}

    assert run.answer().code == 0
    assert limits == {name: knob("users/alice", name) for name in KNOBS}
    assert measures(limits)["pids.max"] == 40
    assert sorted(pids) == sorted(map(int, knob("users/alice/other", "cgroup.procs").split()))
