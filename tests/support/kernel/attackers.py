"""Programs that play an attacker: tests/hostile has them, in C."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.kernel.pam_session import STRICT
from tests.support.paths import HOSTILE

Attackers = Callable[[str], Path]
"""The program of a name, built where anybody may run it."""


@pytest.fixture(scope="session")
def attackers() -> Iterator[Attackers]:
    with tempfile.TemporaryDirectory(dir="/opt") as place:
        Path(place).chmod(0o755)

        def built(name: str) -> Path:
            program = Path(place, name)
            if not program.exists():
                source = HOSTILE / f"{name}.c"
                subprocess.run(["gcc", *STRICT, "-O2", "-pthread", "-o", program, source], check=True)
            return program

        yield built
