"""Hostile files are refused in printable words and in little memory, and other accounts are not affected."""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.hostile_files import CASES, TREASURE
from tests.support.paths import SOURCE
from tests.support.promises import check_words
from tests.support.spec_files import SpecFiles

MEMORY = 32 << 10
"""kB that a hostile file may cost beyond what is imported."""
SECONDS = 1.0


def spoilt(path: Path, case: str) -> SpecFiles:
    machine = SpecFiles(path)
    file = machine.etc / "accounts.d" / CASES[case].name
    CASES[case].make(file)
    if file.is_file() and not file.is_symlink():
        file.chmod(0o644)
    return machine


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_file_is_refused_and_its_neighbour_is_not(tmp_path: Path, case: str) -> None:
    machine = spoilt(tmp_path, case)
    begin = time.process_time()
    found = machine.load()
    took = time.process_time() - begin
    assert list(found.accounts) == ["alice"]
    assert found.accounts["alice"].limits == {"pids": 100}
    said = [str(complaint) for complaint in found.complaints]
    assert CASES[case].told in "\n".join(said)
    for words in (*said, *found.on_last_good.values()):
        check_words(words)
        assert TREASURE not in words
    assert took < SECONDS


PROGRAM = """
import difflib, ipaddress, json, os, sys
from tests.support.crowd import CROWD, MACHINE
from paas_isolate.errors import SpecError
from paas_isolate.source.directory import SpecDirectory
from paas_isolate.spec import parse
import yaml

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

for place in json.load(sys.stdin):
    if not os.fork():
        with open("/proc/self/clear_refs", "w") as clear:
            clear.write("5")
        before = peak()
        SpecDirectory(place + "/etc", place + "/state", os.getuid()).load(CROWD, MACHINE)
        print(peak() - before, flush=True)
        os._exit(0)
    if os.wait()[1]:
        print(-1, flush=True)
"""
"""Each in a child of its own: what one file costs is not there for the next to use again."""


@pytest.fixture(scope="module")
def growth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """By case, the kB that it takes at its peak."""
    places: dict[str, Path] = {}
    for case in CASES:
        place = tmp_path_factory.mktemp("hostile")
        with suppress(pytest.skip.Exception):
            spoilt(place, case)
            places[case] = place
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([str(place) for place in places.values()]),
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(places, map(int, done.stdout.split()), strict=True))


def test_no_hostile_file_takes_much_memory(growth: dict[str, int]) -> None:
    assert {case: kilobytes for case, kilobytes in growth.items() if not 0 <= kilobytes <= MEMORY} == {}
