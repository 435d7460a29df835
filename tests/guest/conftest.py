"""Tests that run inside the test machine, as root; `scripts/test` brings them there.

Each test begins on a machine without accounts. The timer is stopped meanwhile, so that the only reconciles are those
that a test asks for.
"""

import importlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from paas_isolate.linux.system.schedule import CRON_MARK
from tests.support.guest.machine import ETC, HOSTNAME, STATE, TREE, comes_to_rest, run, systemctl
from tests.support.guest.paas import INSTALLED, Paas
from tests.support.guest.people import Customer, Customers, Specs
from tests.support.guest.scene import GuestScene, set_up
from tests.support.waiting import wait_for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("guest")


@pytest.fixture(scope="session")
def machine() -> Iterator[Path]:
    """This machine with the product at work and its timer stopped; a copy of its /etc/paas-isolate."""
    if os.uname().nodename != HOSTNAME or os.geteuid() != 0:
        pytest.exit("these tests run inside the test machine, as root: scripts/test", returncode=4)
    for module in set(importlib.import_module("paas_isolate.cli.commands").VERBS.values()):
        importlib.import_module(f"paas_isolate.cli.{module}")  # once, for every run that is forked from here
    systemctl("stop", "paas-isolate.timer")
    idle_service()
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(ETC, copy, dirs_exist_ok=True)
        yield Path(copy)
    systemctl("start", "paas-isolate.timer")


@pytest.fixture(scope="session")
def people(machine: Path) -> Iterator[Customers]:
    customers = Customers()
    sweep(machine, customers)
    yield customers
    customers.leave()


@pytest.fixture(scope="module")
def scene(machine: Path, people: Customers) -> Iterator[tuple[Specs, Paas]]:
    """For a fixture that sets up once what many tests look at."""
    yield Specs(people), Paas()
    sweep(machine, people)


@pytest.fixture(scope="module")
def guest_scene(scene: tuple[Specs, Paas], people: Customers) -> Iterator[GuestScene]:
    """Two accounts whose logins pass the PAM module, while root watches."""
    with set_up(*scene, people) as ready:
        yield ready


@pytest.fixture(scope="session")
def disks(machine: Path) -> Iterator[dict[str, str]]:
    """A file system on a partition, and one on a device-mapper device; by mount point, the device that io.max takes."""
    with ExitStack() as undo:
        undo.callback(run, "wipefs", "--all", "--quiet", "/dev/vdb", "/dev/vdc")
        run("sfdisk", "--quiet", "/dev/vdb", stdin=",256M\n")
        run("udevadm", "settle")
        undo.callback(run, "dmsetup", "remove", "--retry", "guesttest")
        run("dmsetup", "create", "guesttest", "--table", f"0 {256 << 11} linear /dev/vdc 0")
        mapped = Path("/dev/mapper/guesttest").resolve().name
        for point, device in {"/srv/partition": "/dev/vdb1", "/srv/mapped": f"/dev/{mapped}"}.items():
            run("mkfs.ext4", "-q", device)
            Path(point).mkdir()
            undo.callback(Path(point).rmdir)
            run("mount", device, point)
            undo.callback(run, "umount", point)
        takes = {"/srv/partition": "vdb", "/srv/mapped": mapped}
        yield {point: Path(f"/sys/block/{name}/dev").read_text().strip() for point, name in takes.items()}


@pytest.fixture
def empty(machine: Path, people: Customers) -> Iterator[None]:
    """No account, no process of a customer, no memory of earlier runs."""
    yield
    sweep(machine, people)


@pytest.fixture
def customer(people: Customers, empty: None) -> Customers:
    """`customer("alice")`: a Unix user without an account."""
    return people


@pytest.fixture
def spec(people: Customers, empty: None) -> Specs:
    return Specs(people)


@pytest.fixture
def sell(spec: Specs) -> Callable[..., Customer]:
    return spec.sell


@pytest.fixture
def paas(empty: None) -> Paas:
    return Paas()


@pytest.fixture
def running(empty: None) -> Iterator[Callable[[str], None]]:
    """`running("paas-isolate.timer")` restarts a unit; one that did not run stops again after the test."""
    did_not: list[str] = []

    def restart(unit: str) -> None:
        if systemctl("is-active", unit) != "active":
            did_not.append(unit)
        systemctl("restart", unit)

    yield restart
    for unit in did_not:
        systemctl("stop", unit)
    idle_service()


@pytest.fixture
def cron_line(empty: None) -> Iterator[None]:
    """As after `paas-isolate enable cron`."""
    (STATE / CRON_MARK).touch()
    yield
    (STATE / CRON_MARK).unlink()
    idle_service()


def idle_service() -> None:
    comes_to_rest("paas-isolate.service")
    wait_for(
        lambda: not subprocess.run(["pgrep", "-f", INSTALLED], capture_output=True).stdout, what="no run of cron either"
    )


def sweep(etc: Path, people: Customers) -> None:
    """All that a test may leave behind, removed without the help of what is tested."""
    for path in ETC.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(etc, ETC, dirs_exist_ok=True)
    for frozen in TREE.glob("users/**/cgroup.freeze"):
        frozen.write_text("0")
    for starved in TREE.glob("users/**/cpu.max"):  # who has no CPU time left cannot end either
        starved.write_text("max")
    people.end()
    for command in (
        "ip link delete paas0",
        "ip -4 route flush table local proto 119",
        "ip -6 route flush table local proto 119",
        "nft delete table inet paas_isolate",
    ):
        subprocess.run(command.split(), capture_output=True)
    subprocess.run(["umount", "--recursive", "--lazy", "/run/paas-isolate/views"], capture_output=True)
    shutil.rmtree("/run/paas-isolate/views", ignore_errors=True)
    Path("/run/tmpfiles.d/paas-isolate-private.conf").unlink(missing_ok=True)
    shutil.rmtree("/sys/fs/bpf/paas-isolate", ignore_errors=True)  # the gate hangs on its pins
    for directory in sorted(TREE.glob("users/**/*/"), key=lambda path: -len(path.parts)):
        (directory / "cgroup.kill").write_text("1")
        _remove(directory)
    for path in STATE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove(directory: Path) -> None:
    def is_gone() -> bool:
        return subprocess.run(["rmdir", directory], capture_output=True).returncode == 0

    wait_for(is_gone, what=f"{directory} can be removed", deadline=5)
