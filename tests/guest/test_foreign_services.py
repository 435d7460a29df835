"""Services that run other people's programs: gunicorn, node, php-fpm, redis, nginx, a module of WebAssembly.

All run in one account, and each test does the same thing to all of them: six interpreters start slowly in emulation.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest

from tests.support.guest.machine import TREE, figures, is_alive, knob, pids_in, pids_of, run, systemctl
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Customers, Specs
from tests.support.guest.services import ForeignServices, comm, in_journal, lives, programs
from tests.support.waiting import wait_for

UNIT = "paas-isolate-daemon.service"
FOREIGN = programs()
BODIES = {name: it.body() for name, it in FOREIGN.items()}


@pytest.fixture(scope="module")
def foreign(scene: tuple[Specs, Paas], people: Customers) -> Iterator[ForeignServices]:
    spec, paas = scene
    owner = people("alice")
    for program in FOREIGN.values():
        program.lay(owner)
    spec.config(network={})
    spec.sell("alice", limits={"pids": 400}, services=BODIES)
    paas("reconcile")
    ready = ForeignServices(owner, paas, FOREIGN)
    wait_for(lambda: not ready.silent(), what="all of them answer", deadline=90)
    yield ready


def turn(foreign: ForeignServices, seconds: float = 90) -> str:
    """Reconcile until every service runs and answers: what it said."""
    outputs, since = list[str](), foreign.written()

    def all_run() -> bool:
        if len(foreign.mains()) == len(FOREIGN):
            return True
        time.sleep(0.5)  # a pass is work for an emulated machine
        outputs.append(foreign.paas("reconcile", code=None).out)
        return False

    wait_for(all_run, what=lambda: f"all of them run: {foreign.state()}", deadline=seconds)
    wait_for(lambda: not foreign.silent(since), what="all of them answer again", deadline=seconds)
    return "".join(outputs)


def test_each_answers_at_its_own_address_from_its_own_leaf(foreign: ForeignServices) -> None:
    mains = foreign.mains()
    assert set(mains) == set(FOREIGN)
    for name, pid in mains.items():
        assert lives(pid, foreign.leaf(name)), name
        assert not [
            other
            for other in pids_in(foreign.leaf(name))
            if os.stat(f"/proc/{other}").st_uid == 0 and comm(other) != "paas-run"
        ], name
    assert {state["state"] for state in foreign.state().values()} == {"running"}
    assert foreign.paas("reconcile").out == "nothing to do\n"


def test_what_they_say_is_in_their_log_and_in_the_journal(foreign: ForeignServices) -> None:
    for name, word in {"gunicorn": "Listening at", "php": "fpm is running", "redis": "Ready to accept"}.items():
        assert word in foreign.log(name), foreign.log(name)
        wait_for(lambda: any(word in str(record["MESSAGE"]) for record in in_journal("alice", name)), what=name)  # noqa: B023
    found = in_journal("alice", "wasm")
    assert {entry["SYSLOG_IDENTIFIER"] for entry in found} == {"alice/wasm"}
    assert {entry["_UID"] for entry in found} == {str(foreign.owner.uid)}
    log = foreign.owner.home / "logs/wasm.log"
    assert (log.stat().st_uid, log.stat().st_mode & 0o777) == (foreign.owner.uid, 0o640)


def test_a_crash_is_mended(foreign: ForeignServices) -> None:
    before = foreign.mains()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not foreign.mains(), what="all have ended")
    states = foreign.state()
    assert {state["state"] for state in states.values()} == {"restarting"}, states
    assert all("signal 9" in str(state["detail"]) for state in states.values()), states
    turn(foreign)
    after = foreign.mains()
    assert all(after[name] != pid for name, pid in before.items())
    # php-fpm and gunicorn leave workers behind when they are killed: none has outlived the new start.
    for name in FOREIGN:
        started = Path(f"/proc/{after[name]}").stat().st_ctime
        assert all(Path(f"/proc/{pid}").stat().st_ctime >= started - 5 for pid in pids_in(foreign.leaf(name))), name


def test_want_of_memory_ends_one_and_is_told(foreign: ForeignServices) -> None:
    before = foreign.mains()
    for name in FOREIGN:
        if name != "nginx":  # php is asked by way of it
            foreign.eat(name)
    foreign.eat("nginx")
    wait_for(
        lambda: not foreign.mains(),
        what=lambda: f"all have ended: {[figures(foreign.leaf(name), 'memory.events') for name in foreign.mains()]}",
        deadline=60,
    )
    states = foreign.state()
    assert all("out of memory" in str(state["detail"]) for state in states.values()), states
    assert all(figures(foreign.leaf(name), "memory.events")["oom_kill"] for name in FOREIGN)
    turn(foreign)
    assert set(before.values()).isdisjoint(foreign.mains().values())


def test_a_changed_spec_restarts_the_changed_one_alone(foreign: ForeignServices, scene: tuple[Specs, Paas]) -> None:
    before = foreign.mains()
    changed = {**BODIES["node"], "environment": {"COLOUR": "green"}}
    scene[0].sell("alice", limits={"pids": 400}, services={**BODIES, "node": changed})
    told = foreign.paas("reconcile").out
    assert told.count("start alice/") == 1, told
    turn(foreign)
    after = foreign.mains()
    assert b"COLOUR=green" in Path(f"/proc/{after['node']}/environ").read_bytes().split(b"\0")
    assert {name: pid for name, pid in after.items() if name != "node"} == {
        name: pid for name, pid in before.items() if name != "node"
    }


def test_the_daemon_may_be_killed_and_nothing_is_touched(foreign: ForeignServices) -> None:
    before = foreign.mains()
    systemctl("start", UNIT)
    try:
        main = systemctl("show", "--property=MainPID", "--value", UNIT)
        run("kill", "-9", main)
        wait_for(
            lambda: systemctl("show", "--property=MainPID", "--value", UNIT) not in ("0", main), what="another begins"
        )
        wait_for(lambda: systemctl("is-active", UNIT) == "active", what="it is up", deadline=60)
        assert foreign.mains() == before
        os.kill(before["redis"], signal.SIGKILL)
        wait_for(
            lambda: foreign.mains().get("redis", 0) not in (0, before["redis"]), what="the new one mends", deadline=90
        )
    finally:
        systemctl("stop", UNIT)
    assert {**foreign.mains(), "redis": 0} == {**before, "redis": 0}
    assert not foreign.silent()


def test_what_is_stopped_by_hand_stays_so(foreign: ForeignServices) -> None:
    names = ("gunicorn", "redis", "wasm")
    for name in names:
        foreign.paas("stop", f"alice/{name}")
        assert pids_in(foreign.leaf(name)) == [], name
    assert foreign.paas("reconcile").out == "nothing to do\n"
    assert {foreign.state()[name]["state"] for name in names} == {"stopped"}
    assert set(foreign.mains()) == set(FOREIGN) - set(names)
    for name in names:
        foreign.paas("start", f"alice/{name}")
    wait_for(lambda: not foreign.silent(), what="all of them answer again", deadline=90)


def test_a_crash_loop_is_given_up(foreign: ForeignServices, scene: tuple[Specs, Paas]) -> None:
    """Of those that begin fast in emulation."""
    loop(foreign, scene[0], {"redis", "nginx", "wasm"})


@pytest.mark.long
def test_a_crash_loop_of_each_is_given_up(foreign: ForeignServices, scene: tuple[Specs, Paas]) -> None:
    loop(foreign, scene[0], set(FOREIGN))


def loop(foreign: ForeignServices, spec: Specs, names: set[str]) -> None:
    spec.sell("alice", limits={"pids": 400}, services=BODIES)
    foreign.paas("reconcile", code=None)  # what another test has changed is begun anew
    turn(foreign)
    before = foreign.mains()
    broken = {name: {**BODIES[name], "run": FOREIGN[name].broken} for name in names}
    spec.sell("alice", limits={"pids": 400}, services={**BODIES, **broken})

    def all_failed() -> bool:
        if all(foreign.state()[name]["state"] == "failed" for name in names):
            return True
        foreign.paas("reconcile", code=None)
        time.sleep(0.5)  # a pass is work for an emulated machine
        return False

    wait_for(all_failed, what=lambda: f"all have failed: {foreign.state()}", deadline=110)
    for name in names:
        assert foreign.state()[name]["given_up"]
        assert foreign.log(name).count("given up until") == 1, name
    assert foreign.mains() == {name: pid for name, pid in before.items() if name not in names}
    spec.sell("alice", limits={"pids": 400}, services=BODIES)
    turn(foreign)


@pytest.fixture
def worker(spec: Specs, sell: Callable[..., Customer], paas: Paas) -> Callable[..., Customer]:
    def made(**body: object) -> Customer:
        customer = sell("bob", limits={"pids": 100}, services={"worker": {"limits": {"memory": "64M"}, **body}})
        paas("reconcile")
        return customer

    return made


def test_a_log_is_put_aside_when_it_is_large(worker: Callable[..., Customer]) -> None:
    bob = worker(
        run="i=0; while [ $i -lt 400 ]; do echo $i; i=$((i+1)); done; sleep 2; echo end; exec sleep 1000",
        log={"max": "1K", "keep": 2},
    )
    logs = bob.home / "logs"
    wait_for(
        lambda: "end\n" in (logs / "worker.log").read_text() if (logs / "worker.log").exists() else False,
        what="all said",
    )
    assert {path.name for path in logs.iterdir()} <= {"worker.log", "worker.log.1", "worker.log.2"}
    for path in logs.iterdir():
        assert path.stat().st_size < 1024 + 65536
    wait_for(
        lambda: any(record["MESSAGE"] == "end" for record in in_journal("bob", "worker")),
        what="the journal has the end",
    )


def test_a_fork_bomb_is_held_by_its_leaf_and_ends_with_it(worker: Callable[..., Customer], paas: Paas) -> None:
    bob = worker(run="while :; do sh -c 'sleep 1000' & done 2>/dev/null", limits={"pids": 30}, stop_timeout="1s")
    wait_for(lambda: figures("users/bob/worker", "pids.events")["max"] > 0, what="it runs into its limit")
    told = paas("stop", "bob/worker").out
    assert pids_of(bob.uid) == [], told


@pytest.mark.long
def test_three_hundred_services_stand_on_a_small_machine(
    sell: Callable[..., Customer], paas: Paas, record_property: Callable[[str, object], None]
) -> None:
    """Thirty accounts with ten each. Nothing is left of a start, no zombie, no descriptor; figures: --junitxml."""
    body = {"run": "exec sleep 1000", "limits": {"memory": "8M"}}
    leaves = [f"users/many{number}/s{i}" for number in range(30) for i in range(10)]
    for number in range(30):
        sell(f"many{number}", limits={"pids": 100}, services={f"s{i}": body for i in range(10)})
    begin = time.monotonic()
    systemctl("start", UNIT)
    try:
        mains = wait_for(lambda: _all_up(leaves), what="all are up", deadline=300)
        main = int(systemctl("show", "--property=MainPID", "--value", UNIT))
        descriptors, memory = [_descriptors(main)], [_resident(main)]
        record_property("seconds until all are up", round(time.monotonic() - begin, 1))
        for _ in range(4):  # four times 300 are more than a thousand starts
            killed, begin = mains, time.monotonic()
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            mains = wait_for(lambda: _all_up(leaves, killed), what="all are up again", deadline=300)  # noqa: B023
            descriptors.append(_descriptors(main))
            memory.append(_resident(main))
            record_property("seconds until all are up again", round(time.monotonic() - begin, 1))
        record_property("descriptors of the daemon", descriptors)
        record_property("memory of the daemon, kB", memory)
        record_property("memory of all customers, bytes", int(knob("users", "memory.current")))
        assert is_alive(main)
        assert max(descriptors) <= descriptors[0] + 5
        assert not _zombies()
        told = paas("status", "--json", "many7").json["cgroups"]
        assert [entry["service"]["state"] for entry in told if entry["service"]] == ["running"] * 10
    finally:
        systemctl("stop", UNIT)


def _all_up(leaves: list[str], before: Collection[int] = ()) -> set[int]:
    """The programs, when each leaf has one that was not there before. To ask takes time from what is asked about."""
    time.sleep(0.5)
    found: set[int] = set()
    for leaf in leaves:
        new = {pid for pid in pids_in(leaf) if comm(pid) == "sleep"} - {*before} if (TREE / leaf).exists() else set()
        if len(new) != 1:
            return set()
        found |= new
    return found


def _descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _resident(pid: int) -> int:
    """kB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])


def _zombies() -> list[str]:
    told = subprocess.run(["ps", "-eo", "state,pid,comm"], capture_output=True, text=True, check=True).stdout
    return [line for line in told.splitlines() if line.startswith("Z")]
