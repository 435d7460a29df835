"""What the test machine needs of the machine around it: root, a few programs, a place to keep things."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import VmError
from testbed.progress import Progress

SOURCE = Path(__file__).resolve().parents[2]

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ssh": "openssh-client",
}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def cache() -> Path:
    if chosen := os.environ.get("PAAS_ISOLATE_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "paas-isolate"


def sockets() -> Path:
    """Beside the cache, not in it: the path of a Unix socket ends at 107 bytes."""
    directory = Path(tempfile.gettempdir()) / f"paas-isolate-vm-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    seen = directory.lstat()
    if seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        raise VmError(f"{directory} belongs to somebody else or is open to others", hint="remove it")
    return directory


def program(name: str) -> str:
    """mke2fs and mmdebstrap's helpers lie where an ordinary user's PATH does not lead."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}") or name


def as_root(argv: Sequence[str]) -> list[str]:
    if os.geteuid() == 0:
        return list(argv)
    if shutil.which("sudo") is None:
        raise VmError(f"{argv[0]} needs root, and there is no sudo", hint="run this as root")
    return ["sudo", "--non-interactive", *argv]


def require_programs(progress: Progress) -> None:
    """Installs what is missing, so that a fresh checkout needs no list of things to do first."""
    if platform.machine() != "x86_64":
        raise VmError(f"the test machine is amd64, this one is {platform.machine()}")
    missing = {package for name, package in PROGRAMS.items() if not Path(program(name)).is_absolute()}
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    if not missing:
        return
    names = sorted(missing)
    if shutil.which("apt-get") is None:
        raise VmError(f"missing here: {' '.join(names)}", hint="install what these Debian packages contain")
    log = cache() / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes"]
    with progress.stage(f"apt-get install {' '.join(names)}"):
        # A stale list is a reason to fail later, with apt's own words; an unreachable one of several is not.
        logged(as_root([*apt, "update"]), log=log, check=False)
        logged(as_root([*apt, "install", "--no-install-recommends", *names]), log=log)


def logged(argv: Sequence[str], *, log: Path, check: bool = True, hint: str = "") -> None:
    """Runs a command that takes long, its words in `log`, and lets it clean up when we are interrupted."""
    with log.open("ab") as words:
        words.write(f"$ {' '.join(argv)}\n".encode())
        words.flush()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
        try:
            code = child.wait()
        except BaseException:
            # mmdebstrap unmounts what it mounted when it gets a signal; killed at once it could not.
            child.terminate()
            try:
                child.wait(timeout=30)
            except subprocess.TimeoutExpired:
                child.kill()
            raise
    if check and code != 0:
        raise VmError(f"{Path(argv[0]).name} ended with {code}: {' '.join(argv)[:300]}", log=log, hint=hint)


@contextmanager
def scratch(directory: Path, prefix: str) -> Iterator[Path]:
    """A directory that is gone afterwards, even if root's files lie in it."""
    directory.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=directory))
    try:
        yield place
    finally:
        remove_tree(place)


def remove_tree(place: Path) -> None:
    # One file system: should a mount have been left inside, what is behind it stays.
    argv = ["rm", "-rf", "--one-file-system", str(place)]
    subprocess.run(as_root(argv), stdin=subprocess.DEVNULL, check=False)
