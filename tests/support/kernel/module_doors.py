"""The PAM module, and doors for one customer, who is `nobody`."""

from pathlib import Path

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.pam_session import Built, Session, opened

CUSTOMER = 65534
RANGE = ("first_uid=60000", "last_uid=65535")
LEAF, SERVICE_LEAF, PENALTY = "users/alice/login", "users/alice/web", "penalty"


class Doors:
    """A machine with one customer, whose doors a test lays out or breaks."""

    def __init__(self, place: Path, built: Built, cgroups: CgroupTree) -> None:
        self.built, self.cgroups = built, cgroups
        self.directory, self.confdir = place / "doors", place / "pam.d"
        self.directory.mkdir()
        self.confdir.mkdir()
        for path in ("users", "users/alice", LEAF, SERVICE_LEAF, PENALTY):
            cgroups.create(path)
        self.complete.touch()
        self.lay(LEAF)

    @property
    def complete(self) -> Path:
        return self.directory / ".complete"

    @property
    def door(self) -> Path:
        return self.directory / str(CUSTOMER)

    def lay(self, leaf: str, service: str = "") -> None:
        """A door to a leaf, or to what is no path in the tree."""
        door = Path(f"{self.door}.{service}") if service else self.door
        door.unlink(missing_ok=True)
        door.symlink_to(leaf if leaf.startswith("/") or "/" not in leaf else f"{self.cgroups.root}/{leaf}")

    def command(self, *options: str, service: str = "sshd", user: str = "nobody", penalty: bool = True) -> list[str]:
        words = [f"doors={self.directory}", *RANGE, *options]
        words += [f"penalty={self.cgroups.root}/{PENALTY}"] if penalty else []
        return self.built.command(self.confdir, service, user, *words)

    def session(self, *options: str, service: str = "sshd", user: str = "nobody", penalty: bool = True) -> Session:
        return opened(self.command(*options, service=service, user=user, penalty=penalty), self.cgroups)
