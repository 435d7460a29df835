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
from pathlib import Path

import pytest
from guest_machine import ETC, HOSTNAME, STATE, TREE, systemctl, until
from guest_paas import Paas
from guest_people import Customer, Customers, Specs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker("guest")


@pytest.fixture(scope="session")
def machine() -> Iterator[Path]:
    """This machine with the product at work and its timer stopped; a copy of its /etc/paas-isolate."""
    if os.uname().nodename != HOSTNAME or os.geteuid() != 0:
        pytest.exit("these tests run inside the test machine, as root: scripts/test", returncode=4)
    for room in set(importlib.import_module("paas_isolate.cli.main").VERBS.values()):
        importlib.import_module(f"paas_isolate.cli.{room}")  # once, for every run that is forked from here
    systemctl("stop", "paas-isolate.timer")
    until(lambda: systemctl("is-active", "paas-isolate.service") != "activating", "no run of the timer is at work")
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


def sweep(etc: Path, people: Customers) -> None:
    """All that a test may leave behind, removed without the help of what is tested."""
    shutil.rmtree(ETC / "accounts.d", ignore_errors=True)
    shutil.copytree(etc, ETC, dirs_exist_ok=True)
    for frozen in TREE.glob("users/**/cgroup.freeze"):
        frozen.write_text("0")
    people.end()
    for directory in sorted(TREE.glob("users/**/*/"), key=lambda path: -len(path.parts)):
        (directory / "cgroup.kill").write_text("1")
        _remove(directory)
    for path in STATE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove(directory: Path) -> None:
    def is_gone() -> bool:
        return subprocess.run(["rmdir", directory], capture_output=True).returncode == 0

    until(is_gone, f"{directory} can be removed", seconds=5)
