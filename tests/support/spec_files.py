"""Specifications in files, as a machine has them."""

import os
from pathlib import Path

from paas_isolate.model.account import Fleet
from paas_isolate.source.directory import SpecDirectory
from tests.support.crowd import CROWD, MACHINE, Crowd

ALICE = "account: alice\nplan: p\n"


class SpecFiles:
    """An /etc/paas-isolate and a state directory."""

    def __init__(self, path: Path) -> None:
        self.etc, self.state = path / "etc", path / "state"
        for directory in (self.etc, self.etc / "plans.d", self.etc / "accounts.d"):
            directory.mkdir()
            directory.chmod(0o755)
        self.write("plans.d/p.yaml", "plan: p\nlimits: {pids: 100}\n")
        self.write("accounts.d/alice.yaml", ALICE)

    def write(self, file: str, text: str) -> Path:
        path = self.etc / file
        path.write_text(text)
        path.chmod(0o644)
        return path

    def load(self, people: Crowd = CROWD, *, remember: bool = True) -> Fleet:
        return SpecDirectory(str(self.etc), str(self.state), os.getuid()).load(people, MACHINE, remember=remember)

    def kept(self) -> list[str]:
        return sorted(str(path.relative_to(self.state)) for path in self.state.rglob("*") if path.is_file())
