"""Every limit holds: a customer who wants more does not get it, and other accounts are not affected."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guest.machine import TREE, figures, io_figures, is_alive, knob, run, share_of_a_core
from tests.support.guest.paas import Paas
from tests.support.guest.people import HOG, Sell, Specs, hears, seconds_of
from tests.support.waiting import wait_for


def test_memory_of_a_service_out_ends_all_of_the_service_and_no_neighbour(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", services={"web": {"limits": {"memory": "32M"}}, "worker": {"limits": {"memory": "32M"}}})
    paas("reconcile")
    innocent, neighbour = alice.sleeps("users/alice/web"), alice.sleeps("users/alice/worker")

    hog = alice.python(HOG, "users/alice/web")

    assert hog.wait(60) == -9
    wait_for(lambda: not is_alive(innocent), what="the whole leaf has ended")
    events = figures("users/alice/web", "memory.events")
    assert events["oom_group_kill"] == 1
    assert events["oom_kill"] >= 2  # the kernel counts the first victim once more with its group
    assert figures("users/alice/worker", "memory.events")["oom_group_kill"] == 0
    assert is_alive(neighbour)


def test_memory_of_a_login_out_ends_one_process_and_leaves_the_session(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", services={"login": {"limits": {"memory": "32M"}}})
    paas("reconcile")
    shell = alice.sleeps("users/alice/login")

    hog = alice.python(HOG, "users/alice/login")

    assert hog.wait(60) == -9
    events = figures("users/alice/login", "memory.events")
    assert (events["oom_group_kill"], events["oom_kill"]) == (0, 1)
    assert is_alive(shell)


def test_memory_of_an_account_out_leaves_other_accounts_alone(sell: Sell, paas: Paas) -> None:
    alice, bob = sell("alice", limits={"memory": "32M"}), sell("bob", limits={"memory": "32M"})
    paas("reconcile")
    neighbour = bob.holds(16, "users/bob/other")

    hog = alice.python(HOG, "users/alice/other")

    assert hog.wait(60) == -9
    assert figures("users/alice", "memory.events")["oom_kill"] == 1
    assert figures("users/bob", "memory.events")["oom_kill"] == 0
    assert neighbour.poll() is None


def test_cpu_of_an_account_is_a_tenth_of_a_core(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", limits={"cpu": "10%"})
    paas("reconcile")
    for _ in range(2):  # one for each core of the test machine
        alice.burns("users/alice/other")

    # More than one look: a core that is emulated may be held up, and then gets less in that time.
    looks = (share_of_a_core(["users/alice"], 3)[0] for _ in range(4))
    assert any(used == pytest.approx(10, abs=2) for used in looks)
    assert figures("users/alice", "cpu.stat")["nr_throttled"] > 0


def test_cpu_of_a_service_is_limited_inside_its_account(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", limits={"cpu": "100%"}, services={"nightly": {"limits": {"cpu": "15%"}}})
    paas("reconcile")
    alice.burns("users/alice/nightly")
    alice.burns("users/alice/other")

    nightly, other = share_of_a_core(["users/alice/nightly", "users/alice/other"], 3)

    assert 3 < nightly < 17
    assert nightly + other < 110
    assert other > 2 * nightly


def test_cpu_weights_share_a_busy_core_as_one_to_two_to_three(sell: Sell, paas: Paas) -> None:
    weights = {"alice": 100, "bob": 200, "carol": 300}
    one_core = {"max": "unlimited", "set": "0"}
    busy = [sell(name, limits={"cpu": {**one_core, "weight": weight}}) for name, weight in weights.items()]
    paas("reconcile")
    for customer in busy:
        customer.burns(f"users/{customer.name}/other")

    for _ in range(4):  # an emulated core that stutters is shared by whoever is there at that moment
        used = share_of_a_core([f"users/{name}" for name in weights], 5)
        shares = [share / sum(used) for share in used]
        if shares == pytest.approx([1 / 6, 2 / 6, 3 / 6], abs=0.03):
            return
    pytest.fail(f"the shares are {shares}")


def test_cpu_set_keeps_a_process_on_its_core(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", limits={"cpu": {"set": "1"}})
    paas("reconcile")
    pid = alice.sleeps("users/alice/other")

    with open(f"/proc/{pid}/status") as status:
        assert "Cpus_allowed_list:\t1\n" in status.read()


def test_pids_refuse_the_fork_above_them_and_no_neighbours(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", services={"web": {"limits": {"pids": 10}}, "worker": {"limits": {"pids": 10}}})
    paas("reconcile")

    alice.wants_processes(20, "users/alice/web")
    alice.wants_processes(5, "users/alice/worker")

    assert knob("users/alice/web", "pids.current") == "10"
    assert figures("users/alice/web", "pids.events")["max"] > 0
    assert knob("users/alice/worker", "pids.current") == "5"
    assert figures("users/alice/worker", "pids.events")["max"] == 0


def test_a_fork_bomb_in_a_service_leaves_room_for_a_login(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", limits={"pids": 60}, services={"web": {}})
    paas("reconcile")

    alice.wants_processes(100, "users/alice/web")
    alice.wants_processes(10, "users/alice/login")

    assert knob("users/alice/web", "pids.current") == "30"
    assert knob("users/alice/login", "pids.current") == "10"


MEGABYTE = 1 << 20
DISK = "254:0"
IO = {
    "read": ("dd if=file of=/dev/null bs=64k count=48 iflag=direct", "rbytes", MEGABYTE, 3 * MEGABYTE),
    "write": ("dd if=/dev/zero of=new bs=64k count=48 oflag=direct", "wbytes", MEGABYTE, 3 * MEGABYTE),
    "read_ops": ("dd if=file of=/dev/null bs=4k count=60 iflag=direct", "rios", 20, 60),
    "write_ops": ("dd if=/dev/zero of=file bs=4k count=60 oflag=direct conv=notrunc", "wios", 20, 60),
}
"""Limit: a program that wants more, the figure of io.stat that counts it, the limit, what the program wants."""


@pytest.mark.parametrize("limit", IO)
def test_io_is_slowed_down_to_what_was_sold(sell: Sell, paas: Paas, limit: str) -> None:
    program, figure, rate, wanted = IO[limit]
    alice = sell("alice", limits={"io": "unlimited"}, services={"web": {"limits": {"io": {limit: rate}}}})
    paas("reconcile")
    with open(alice.home / "file", "wb") as file:
        file.write(bytes(3 * MEGABYTE))
    subprocess.run(["sync", alice.home / "file"], check=True)
    subprocess.run(["chown", "alice", alice.home / "file"], check=True)

    before = io_figures("users/alice/web", DISK).get(figure, 0)
    slow = seconds_of(alice.runs(*program.split(), leaf="users/alice/web"))
    moved = io_figures("users/alice/web", DISK).get(figure, 0) - before
    quick = seconds_of(alice.runs(*program.split(), leaf="users/alice/other"))

    assert moved >= wanted
    assert slow > 0.8 * wanted / rate
    assert quick < slow / 2


@pytest.fixture
def io_cost(disks: dict[str, str]) -> Iterator[str]:
    """The kernel shares the disk of /srv/partition by weight, as if it were one of 4 MB/s (io.cost)."""
    disk, knobs = disks["/srv/partition"], Path("/sys/fs/cgroup")
    speeds = "rbps=4000000 rseqiops=2000 rrandiops=2000 wbps=4000000 wseqiops=2000 wrandiops=2000"
    (knobs / "io.cost.model").write_text(f"{disk} ctrl=user model=linear {speeds}")
    (knobs / "io.cost.qos").write_text(f"{disk} enable=1 ctrl=user min=100.00 max=100.00")
    yield disk
    (knobs / "io.cost.qos").write_text(f"{disk} enable=0")


def test_io_weights_share_a_busy_disk_where_the_kernel_does_so(
    io_cost: str, spec: Specs, sell: Sell, paas: Paas
) -> None:
    spec.config()
    weights = {"alice": 100, "bob": 300}
    busy = [sell(name, limits={"io": {"weight": weight}}) for name, weight in weights.items()]
    paas("reconcile")
    run("fallocate", "--length", "64M", "/srv/partition/file")
    run("dd", "if=/dev/zero", "of=/srv/partition/file", "bs=1M", "count=64", "oflag=direct", "conv=notrunc")
    leaves = [f"users/{name}/other" for name in weights]
    for customer, leaf in zip(busy, leaves, strict=True):
        dd = ("dd", "if=/srv/partition/file", "of=/dev/null", "bs=64k", "iflag=direct")
        customer.runs(*dd, leaf=leaf)
    wait_for(lambda: all(read(leaf, io_cost) for leaf in leaves), what="both read")

    before = [read(leaf, io_cost) for leaf in leaves]
    time.sleep(4)  # what is read meanwhile is measured
    less, more = (read(leaf, io_cost) - early for leaf, early in zip(leaves, before, strict=True))

    assert 2 < more / less < 4


def read(leaf: str, disk: str) -> int:
    return io_figures(leaf, disk).get("rbytes", 0)


def test_burst_is_spent_after_a_rest(sell: Sell, paas: Paas) -> None:
    alice = sell("alice", limits={"cpu": {"max": "20%", "burst": "20%"}})
    paas("reconcile")
    # Awake for a moment, asleep for longer: what was not used is there when it wakes.
    alice.burns("users/alice/other", for_a_moment=True)

    wait_for(lambda: figures("users/alice", "cpu.stat")["nr_bursts"] > 0, what="it has spent more than in one period")
    assert figures("users/alice", "cpu.stat")["burst_usec"] > 0


@pytest.fixture
def swap(machine: Path) -> Iterator[None]:
    """Swap, on a file."""
    file = "/var/tmp/guesttest-swap"  # /tmp is memory itself
    run("fallocate", "--length", "128M", file)
    run("chmod", "600", file)
    run("mkswap", file)
    run("swapon", file)
    yield
    run("swapoff", file)
    run("rm", file)


def test_swap_is_what_was_sold_on_top_of_the_memory(swap: None, spec: Specs, sell: Sell, paas: Paas) -> None:
    spec.config()
    services = {
        "some": {"limits": {"memory": {"max": "24M", "swap": "32M"}}},
        "none": {"limits": {"memory": {"max": "24M", "swap": 0}}},
    }
    alice = sell("alice", services=services)
    paas("reconcile")

    fits = alice.holds(40, "users/alice/some")
    does_not = alice.python(HOLDS_40, "users/alice/none")

    assert does_not.wait(60) == -9
    assert fits.poll() is None
    assert int(knob("users/alice/some", "memory.swap.current")) > 8 * MEGABYTE
    if (TREE / "users/alice/none/memory.swap.peak").exists():  # Linux 6.5
        assert knob("users/alice/none", "memory.swap.peak") == "0"
    assert alice.python(HOG, "users/alice/some").wait(60) == -9  # there is an end to it, too
    assert fits.wait(5) == -9


HOLDS_40 = "held = bytearray(b'x') * (40 << 20)"


def test_memory_high_slows_down_and_ends_nobody(spec: Specs, sell: Sell, paas: Paas) -> None:
    spec.config()
    alice = sell("alice", limits={"memory": {"max": "96M", "high": "32M"}})
    paas("reconcile")

    alice.holds(24, "users/alice/other")
    assert figures("users/alice", "memory.events")["high"] == 0
    reads = alice.runs(f"{READ.format(size=40, file='file')}; read line", leaf="users/alice/other")
    hears(reads, "read")

    events = figures("users/alice", "memory.events")
    assert events["high"] > 0
    assert (events["max"], events["oom_kill"]) == (0, 0)
    assert int(knob("users/alice", "memory.current")) < 40 * MEGABYTE


# Without a guard it is the kernel's choice whose cache it takes first: mostly, not always, the older one.
@pytest.mark.parametrize("guard", ["min", "low", pytest.param("", marks=pytest.mark.long)])
def test_protected_memory_is_left_to_its_service(spec: Specs, sell: Sell, paas: Paas, guard: str) -> None:
    """Two services of one account want more than there is. One has had its cache for longer: that stays only where
    it is protected."""
    spec.config()
    protection = {"limits": {"memory": {guard: "24M"}}} if guard else {}
    alice = sell("alice", limits={"memory": "64M"}, services={"kept": protection, "web": {}})
    paas("reconcile")
    kept = alice.runs(f"{READ.format(size=20, file='kept')}; read line", leaf="users/alice/kept")
    hears(kept, "read")
    before = int(knob("users/alice/kept", "memory.current"))
    assert before > 20 * MEGABYTE

    web = alice.runs(f"{READ.format(size=100, file='web')}; read line", leaf="users/alice/web")
    hears(web, "read")

    assert figures("users/alice", "memory.events")["max"] > 0  # there was less than they wanted
    lost = before - int(knob("users/alice/kept", "memory.current"))
    assert lost < 2 * MEGABYTE if guard else lost > 5 * MEGABYTE


READ = "head -c {size}M /dev/zero > {file}; sync {file}; cat {file} > /dev/null; echo read"
