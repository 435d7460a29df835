"""Random PAM stacks: our evaluation calls the same modules as libpam."""

import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.pam.evaluate import called
from paas_isolate.linux.pam.stacks import Line, lines
from tests.support.kernel.pam_session import HARNESS

pytestmark = pytest.mark.kernel

STACKS = 60
SAYS = "#!/bin/sh\necho m$1.\nexit $2\n"
NOISE = ("# note", "", "auth required pam_deny.so", "session optional \\\n # c\n\n pam_permit.so # x \\")
ACTIONS = ("ok", "ignore", "bad", "die", "done", "reset", "1", "2", "3")


class Chance:
    """Files of one service."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.of = place, random.Random(seed)
        self.modules = self.files = 0

    def file(self, name: str, depth: int = 0) -> None:
        """With one module at least: libpam jumps over an empty substack too, and `lines` knows nothing of it."""
        (self.place / name).write_text("\n".join((*self._lines(depth), self._module())) + "\n")

    def _lines(self, depth: int) -> Iterator[str]:
        for _ in range(self.of.randint(1, 5)):
            chance = self.of.random()
            if chance < 0.2 and depth < 2:
                self.files += 1
                name = f"f{self.files}"
                self.file(name, depth + 1)
                # libpam 1.5 looks for names without a slash in /etc/pam.d alone
                yield f"{self.of.choice(('@include', 'session include', 'session substack'))} {self.place}/{name}"
            elif chance < 0.3:
                yield self.of.choice(NOISE)
            else:
                yield self._module()

    def _module(self) -> str:
        self.modules += 1
        blank = self.of.choice((" ", "\t", " \\\n  "))
        code = self.of.choice((0, 0, 0, 1))
        words = ("session", self._control(), "pam_exec.so", f"stdout {self.place}/says {self.modules}", str(code))
        return blank.join(words) + self.of.choice(("", " # c"))

    def _control(self) -> str:
        one, other = self.of.choice(ACTIONS), self.of.choice(ACTIONS)
        written = (f"[default={one}]", f"[success={one} \t default={other}]", f"[success={one} system_err={other}]")
        return self.of.choice(("required", "requisite", "optional", "Sufficient", *written))


def answer(line: Line) -> str:
    return "system_err" if line.arguments[-1:] == ("1",) else "success"


@pytest.mark.parametrize("seed", range(STACKS))
def test_libpam_calls_what_we_say(tmp_path: Path, harness: Path, seed: int) -> None:
    chance = Chance(tmp_path, seed)
    chance.file("ours")
    (tmp_path / "other").write_text("session required pam_deny.so\n")
    (tmp_path / "says").write_text(SAYS)
    (tmp_path / "says").chmod(0o755)
    session = subprocess.run([harness, tmp_path, "ours", "root"], capture_output=True, text=True, timeout=20)
    walked = called(lines("ours", confdir=str(tmp_path)), answer)
    ours = [line.arguments[2] for line in walked if line.module == "pam_exec.so"]
    assert ours == re.findall(r"m(\d+)\.", session.stdout), (tmp_path / "ours").read_text()


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("harness") / "session"
    subprocess.run(["gcc", "-o", built, HARNESS, "-lpam"], check=True)
    return built
