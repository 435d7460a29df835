"""A hosting machine on which services run: the command, with paas-run where it is installed."""

import json
import os
import secrets
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from tests.support.kernel.host import NO_LIMIT, TestHost, over_sbin
from tests.support.kernel.pam_session import STRICT
from tests.support.kernel.pam_sources import RUN
from tests.support.waiting import wait_for

ALICE = 300_000 + secrets.randbelow(100_000) * 3
"""A uid that is drawn, so that runs beside each other do not look at each other's processes."""


def build(place: Path) -> Path:
    """paas-run, in a directory that is put over /usr/sbin."""
    program = place / "paas-run"
    subprocess.run(["gcc", *STRICT, "-O2", "-o", program, *RUN], check=True)
    return program


class ServiceHost:
    """`alice` has a home, and whatever services a test writes for her."""

    def __init__(self, host: TestHost, keeper: Path, home: Path) -> None:
        self.host, self.keeper = host, keeper
        self.home = home
        home.chmod(0o755)  # what pytest makes lies below a directory of root's alone
        os.chown(home, host.first, host.first)
        passwd = host.place / "passwd"
        line = f"alice:x:{host.first}:{host.first}::{host.place}:"
        passwd.write_text(passwd.read_text().replace(line, line.replace(str(host.place), str(self.home))))

    def command(self, *words: str) -> list[str]:
        bind = f'{shlex.join(over_sbin(self.keeper.parent))} && exec "$@"'
        return self.host.inside("sh", "-c", bind, "sh", *self.host.command(*words))

    def __call__(self, *words: str, code: int | None = 0) -> str:
        """`code` is the exit status that is expected, None where any is."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=120)
        assert code in (None, done.returncode), (done.returncode, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def services(self, text: str, more: str = "") -> None:
        """`text` is lines of services, each `name: {...}`; all get a limit that needs no controller."""
        lines = "".join(f"  {line.rstrip()[:-1]}, {NO_LIMIT}}}\n" for line in text.strip().splitlines())
        self.host.account("alice", f"services:\n{lines}{more}")

    def reconcile(self, *words: str, code: int | None = 0) -> str:
        return self("reconcile", *words, code=code)

    def members(self, leaf: str) -> set[int]:
        try:
            pids = Path(self.host.cgroups.root, "users/alice", leaf, "cgroup.procs").read_text().split()
        except FileNotFoundError:
            return set()
        return set(map(int, pids))

    def pids(self, leaf: str) -> set[int]:
        """Without the keeper; as soon as its child is the program."""
        wait_for(lambda: not self._beginning(leaf), what="what has begun is the program")
        return {pid for pid in self.members(leaf) if procfs.name(pid) != "paas-run"}

    def _beginning(self, leaf: str) -> bool:
        ours = [pid for pid in self.members(leaf) if procfs.name(pid) == "paas-run"]
        record = self.host.place / "run/services" / f"alice.{leaf}"
        if ours and record.exists() and "\nkeeper " in record.read_text() and "\nmain " not in record.read_text():
            return True
        return any((found := procfs.identity(pid)) and found.parent in ours for pid in ours)

    def main(self, leaf: str) -> int:
        """The program of a service; 0 where none runs."""
        return next((int(state["pid"]) for state in self.state().values() if state["leaf"] == leaf), 0)

    def state(self) -> dict[str, dict[str, str | int]]:
        """How it stands with each service, by its leaf."""
        told = json.loads(self("status", "--json", "alice"))["cgroups"]
        return {entry["name"]: {**entry["service"], "leaf": entry["name"]} for entry in told if entry["service"]}

    def log(self, name: str) -> str:
        path = self.home / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def daemon(self, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        with open(log, "ab") as said:
            process = subprocess.Popen(self.command("daemon", "--interval", "1000"), stdout=said, stderr=said)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


Place = TypeVar("Place", bound=ServiceHost)


@contextmanager
def opened(
    kind: type[Place], shops: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path, *, first: int = ALICE
) -> Iterator[Place]:
    """`first` is the uid of alice."""
    host = TestHost(shops.mktemp("host"), cgroups, first=first)
    with tempfile.TemporaryDirectory() as home:
        yield kind(host, keeper, Path(home))
