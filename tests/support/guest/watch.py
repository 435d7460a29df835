"""Where customers' processes are: as root sees it ten times a second, and as they report it themselves."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.support.guest.machine import TREE, run

SOURCE = Path(__file__).parent
BORROWERS = ("sshd", "sshd-session", "login")
INSIDE = f"/{TREE.relative_to('/sys/fs/cgroup')}/"


class Sighting(NamedTuple):
    """A process as the root checker saw it. `cgroup` is a path of the tree, or an absolute one outside of it."""

    at: float
    pid: int
    uids: tuple[int, int, int, int]
    name: str
    cgroup: str

    @property
    def is_outside(self) -> bool:
        return self.cgroup.startswith("/")

    @property
    def is_borrowed(self) -> bool:
        """A root process that is somebody else for a moment, and no program of the customer's: sshd reads
        authorized_keys as the user, and pam_keyinit makes a keyring as one (the real uid), both before the session."""
        real, _, saved, _ = self.uids
        return saved == 0 and (real == 0 or self.name in BORROWERS)


class Words(NamedTuple):
    """What a program of tests/support/guest/look.c said."""

    pid: int
    uid: int
    moment: str
    cgroup: str


class Effort(NamedTuple):
    """What the checker did: looks, in so many seconds, with so much CPU time."""

    looks: int
    seconds: float
    cpu: float


class Watch:
    """The root checker at work. What it saw is asked for from a moment of the monotonic clock on."""

    def __init__(self, place: Path, process: subprocess.Popen[bytes], log: Path) -> None:
        self.look, self.shell = place / "look", place / "shell"
        self._words, self._log, self._process = place / "words", log, process

    def seen(self, since: float) -> list[Sighting]:
        lines = (line.split(" ", 7) for line in self._log.read_text().splitlines() if not line.startswith("looked"))
        found = (
            Sighting(float(at), int(pid), (int(real), int(effective), int(saved), int(of_files)), name, _short(cgroup))
            for at, pid, real, effective, saved, of_files, name, cgroup in lines
        )
        return [sighting for sighting in found if sighting.at >= since]

    def said(self, uid: int) -> list[Words]:
        """Since `forget`."""
        lines = (line.split(" ", 3) for line in self._words.read_text().splitlines())
        found = (Words(int(pid), int(uid), moment, _short(cgroup)) for pid, uid, moment, cgroup in lines)
        return [words for words in found if words.uid == uid]

    def forget(self) -> None:
        self._words.write_text("")

    def stop(self) -> Effort:
        self._process.terminate()
        self._process.wait(10)
        _, looks, seconds, cpu = self._log.read_text().splitlines()[-1].split()
        return Effort(int(looks), float(seconds), float(cpu))


def _short(cgroup: str) -> str:
    return cgroup.removeprefix(INSIDE)


def compiled(place: Path) -> None:
    """The checker, and the programs that say where they are, for everybody to run."""
    place.chmod(0o755)
    for name in ("watch", "look"):
        run("gcc", "-std=gnu17", "-O2", "-static", "-o", str(place / name), str(SOURCE / f"{name}.c"))
    (place / "shell").hardlink_to(place / "look")
    (place / "words").touch()
    (place / "words").chmod(0o666)


@contextmanager
def watching(place: Path, first_uid: int, last_uid: int) -> Iterator[Watch]:
    """`place` has what `compiled` made."""
    log = place / "watch.log"
    with (
        log.open("wb") as written,
        subprocess.Popen([place / "watch", "/proc", str(first_uid), str(last_uid)], stdout=written) as process,
    ):
        try:
            yield Watch(place, process, log)
        finally:
            if process.poll() is None:
                process.kill()


def now() -> float:
    return time.monotonic()
