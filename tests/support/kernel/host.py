"""A small hosting machine in a cgroup tree of its own, for the command itself."""

import os
import subprocess
import sys
from pathlib import Path

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from tests.support.waiting import wait_for

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
ALICE = int(os.environ.get("PAAS_ISOLATE_TEST_UID", "48201")) + 1000 * _WORKER
"""Tests that run at the same time, of one checkout or of several, have uids of their own: what sweeps one's leaves the
other's alone."""
BOB, CAROL = ALICE + 1, ALICE + 2
NO_LIMIT = "limits: {memory: {kill: process}}"  # a service's own default needs the memory controller


def over_sbin(programs: Path) -> list[str]:
    """A command that puts the programs in a directory over those of /usr/sbin, in a mount namespace of a test's own."""
    programs.chmod(0o755)
    return ["mount", "-t", "overlay", "-o", f"lowerdir={programs}:/usr/sbin", "overlay", "/usr/sbin"]


class TestHost:
    """A small hosting machine: its own configuration, its own users (in a passwd of its own), its own tree.

    `first` is alice's uid, and the lowest. Whoever stays, and hears of every process of the machine, needs uids that no
    other test has.
    """

    __test__ = False  # its name begins as those that pytest collects

    def __init__(self, place: Path, cgroups: CgroupTree, first: int = ALICE) -> None:
        self.place, self.cgroups, self.first = place, cgroups, first
        self.etc = place / "etc"
        for directory in ("etc/accounts.d", "etc/plans.d", "state", "run"):
            (place / directory).mkdir(parents=True)
        for path in (place, *place.rglob("*")):
            path.chmod(0o755)
        users = {"alice": first, "bob": first + 1, "carol": first + 2}
        lines = [f"{name}:x:{uid}:{uid}::{place}:/bin/sh\n" for name, uid in users.items()]
        (place / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n" + "".join(lines))
        self.configure("")

    def configure(self, more: str) -> None:
        (self.etc / "config.yaml").write_text(
            f"tree: {{root: {self.cgroups.root}}}\n"
            f"users: {{first_uid: {self.first}, last_uid: {self.first + 2}{more}}}\n"
            "penalty: {cpu: unlimited, memory: unlimited, pids: unlimited}\n"
            "ceiling: {memory: unlimited, pids: unlimited, cpu_weight: 100}\n"
        )

    def account(self, name: str, text: str = "") -> None:
        (self.etc / "accounts.d" / f"{name}.yaml").write_text(f"account: {name}\n{text}")

    def command(self, *words: str) -> list[str]:
        options = ["--etc", str(self.etc), "--state", str(self.place / "state"), "--run", str(self.place / "run")]
        return self.inside(sys.executable, "-m", "paas_isolate", *options, *words)

    def inside(self, *words: str) -> list[str]:
        """A command in a mount namespace of its own, with our passwd bound over the machine's."""
        bind = f'mount --bind {self.place}/passwd /etc/passwd && exec "$0" "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", bind, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True)

    def tree(self) -> list[str]:
        users = self.cgroups.children("users")
        return sorted(f"{name}/{leaf}" for name in users for leaf in self.cgroups.children(f"users/{name}"))


def where(cgroups: CgroupTree, pid: int) -> str:
    return cgroups.path_of(procfs.cgroup(pid) or "")


def wait_for_uid(uid: int, pid: int) -> None:
    wait_for(lambda: (found := procfs.identity(pid)) and found.uids[0] == uid, what=f"process {pid} has become {uid}")


def many(host: TestHost, number: int) -> None:
    """So many accounts with a user each, in a uid range that holds them."""
    (host.etc / "config.yaml").write_text(
        (host.etc / "config.yaml").read_text().replace(str(host.first + 2), str(host.first + number + 9))
    )
    with (host.place / "passwd").open("a") as passwd:
        passwd.writelines(f"u{n}:x:{host.first + 3 + n}:1::/:/bin/sh\n" for n in range(number))
    for n in range(number):
        host.account(f"a{n}", f"users: [u{n}]\n")
