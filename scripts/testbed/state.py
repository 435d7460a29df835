"""What is known of a running guest, kept in a directory of its own beside the images."""

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed import host
from testbed.image import Image
from testbed.ssh import Way


@dataclass(frozen=True)
class Place:
    """Paths of the files of the guest called `name`, whether it runs or not."""

    name: str

    @property
    def directory(self) -> Path:
        return host.cache() / "guests" / self.name

    @property
    def state(self) -> Path:
        return self.directory / "state.json"

    @property
    def overlay(self) -> Path:
        return self.directory / "overlay.qcow2"

    @property
    def scratch(self) -> tuple[Path, Path]:
        return self.directory / "vdb.img", self.directory / "vdc.img"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def qemu_log(self) -> Path:
        return self.directory / "qemu.log"

    @property
    def pidfile(self) -> Path:
        return self.directory / "qemu.pid"

    @property
    def monitor(self) -> Path:
        return host.sockets() / f"{self._short}.qmp"

    @property
    def control(self) -> Path:
        return host.sockets() / f"{self._short}.ssh"

    @property
    def _short(self) -> str:
        return hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One start, stop or reboot at a time."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True)
class State:
    pid: int
    port: int
    accel: str
    image: str
    release: str
    key: str
    tree: str = ""
    product: str = ""
    variant: str = ""
    architecture: str = "amd64"
    append: str = ""
    """What the kernel's command line has besides."""

    def save(self, place: Place) -> None:
        fresh = place.state.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self), indent=2) + "\n")
        fresh.rename(place.state)

    def is_alive(self, place: Place) -> bool:
        """Whether its pid is still a qemu on its disk, and not another process with the same number."""
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return b"qemu" in command and str(place.overlay).encode() in command

    def image_used(self) -> Image:
        return Image(Path(self.image), self.release, self.key, self.variant, self.architecture)

    def way(self, place: Place) -> Way:
        return Way(self.port, self.image_used().ssh_key, place.control)


def load(place: Place) -> State | None:
    """The guest's state, if it runs."""
    try:
        state = State(**json.loads(place.state.read_text()))
    except FileNotFoundError:
        return None
    return state if state.is_alive(place) else None


def names() -> list[str]:
    return sorted(found.parent.name for found in (host.cache() / "guests").glob("*/state.json"))
