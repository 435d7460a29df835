"""The accounts that are measured on, with six limits each, their users and homes, as files of an administrator."""

from dataclasses import dataclass
from pathlib import Path

FIRST_UID = 1_000_000
MOST = 20_000

CONFIG = """\
tree: {{root: {root}}}
users: {{first_uid: {first}, last_uid: {last}, exempt: []}}
"""

UNLIMITED = """\
penalty: {cpu: unlimited, memory: unlimited, pids: unlimited}
ceiling: {memory: unlimited, pids: unlimited, cpu_weight: 100}
"""
"""Where the kernel has no controllers, there must be no limits."""

ACCOUNT = """\
account: {name}
"""

LIMITS = """\
limits:
  cpu: {max: 50%, weight: 50}
  memory: {max: 512M, swap: 0}
  pids: 100
  io: {read: 10M, write: 10M}
"""

SERVICE = "services: {more: {limits: {memory: {kill: process}}}}\n"


@dataclass(frozen=True)
class Fleet:
    """`directory` holds specifications, state, lock, homes and a passwd file; `root` is the root of the tree."""

    directory: Path
    root: Path
    accounts: int
    limited: bool = True

    def name(self, number: int) -> str:
        return f"bench{number:05}"

    @property
    def etc(self) -> Path:
        return self.directory / "etc"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def passwd(self) -> Path:
        return self.directory / "passwd"

    def words(self) -> list[str]:
        """The options with which the product uses this directory."""
        return ["--etc", str(self.etc), "--state", str(self.state), "--run", str(self.directory / "run")]

    def write(self) -> None:
        accounts = self.etc / "accounts.d"
        accounts.mkdir(parents=True)
        last = FIRST_UID + MOST - 1
        config = CONFIG.format(root=self.root, first=FIRST_UID, last=last)
        (self.etc / "config.yaml").write_text(config if self.limited else config + UNLIMITED)
        users = []
        for number in range(self.accounts):
            name = self.name(number)
            home = self.directory / "home" / name
            home.mkdir(parents=True)
            self.write_account(number)
            users.append(f"{name}:x:{FIRST_UID + number}:{FIRST_UID + number}::{home}:/bin/sh\n")
        self.passwd.write_text(Path("/etc/passwd").read_text() + "".join(users))

    def spoil(self, number: int) -> None:
        """Writes an account's file with a mistake."""
        path = self.etc / "accounts.d" / f"{self.name(number)}.yaml"
        path.write_text(f"account: {self.name(number)}\nlimits: {{memory: 5 12M}}\n")

    def write_account(self, number: int, *, more: bool = False) -> None:
        """Writes an account's file; with `more` it has one service more."""
        text = ACCOUNT.format(name=self.name(number)) + (LIMITS if self.limited else "") + (SERVICE if more else "")
        (self.etc / "accounts.d" / f"{self.name(number)}.yaml").write_text(text)
