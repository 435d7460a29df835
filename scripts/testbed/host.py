"""What the test machine needs of this one: root, a few programs, and directories."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from testbed.errors import VmError
from testbed.progress import Progress

SOURCE = Path(__file__).resolve().parents[2]

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
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
    """The directory for sockets. Not in the cache: the path of a Unix socket has 107 bytes at most (unix(7))."""
    directory = Path(tempfile.gettempdir()) / f"paas-isolate-vm-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise VmError(f"{directory} belongs to another user or is open to others", hint="remove it")
    return directory


def program(name: str) -> str:
    """A program's path; mke2fs and mmdebstrap's helpers are in sbin, which an ordinary user's PATH lacks."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}") or name


def as_root(argv: Sequence[str]) -> list[str]:
    return list(argv) if os.geteuid() == 0 else ["sudo", "--non-interactive", *argv]


def require_root() -> None:
    """VmError without root and sudo. Asked first, before anything is begun that only root could clean up."""
    if os.geteuid() == 0:
        return
    if shutil.which("sudo") is None:
        raise VmError("making an image needs root, and there is no sudo", hint="scripts/vm build, once, as root")
    if subprocess.run(as_root(["true"]), stdin=subprocess.DEVNULL, capture_output=True).returncode != 0:
        raise VmError("sudo asks for a password", hint="sudo --validate, and then again")


def require_programs(progress: Progress, names: Iterable[str]) -> None:
    """Installs the Debian packages of these programs that are missing. VmError where that is not possible."""
    missing = {PROGRAMS[name] for name in names if not Path(program(name)).is_absolute()}
    if not KEYRING.exists():
        missing.add("debian-archive-keyring")
    # Debian's Python has none, and it downloads and builds the guest's wheels.
    if importlib.util.find_spec("pip") is None:
        missing.add("python3-pip")
    if not missing:
        return
    packages = sorted(missing)
    if shutil.which("apt-get") is None:
        raise VmError(f"missing here: {' '.join(packages)}", hint="install what these Debian packages contain")
    log = cache() / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    require_root()
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--yes"]
    with progress.stage(f"apt-get install {' '.join(packages)}"):
        # One unreachable source of several is no failure; stale lists fail below, with apt's own message.
        logged(as_root([*apt, "update"]), log=log, check=False)
        logged(as_root([*apt, "install", "--no-install-recommends", *packages]), log=log)


def logged(argv: Sequence[str], *, log: Path, check: bool = True, hint: str = "") -> None:
    """Runs a command with its output appended to `log`, and ends it when this process is interrupted.

    VmError, with `hint`, where its exit status is not 0 (unless `check` is False).
    """
    with log.open("ab") as output:
        output.write(f"$ {' '.join(argv)}\n".encode())
        output.flush()
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            code = child.wait()
        except BaseException:
            _end(child)
            raise
    if check and code != 0:
        raise VmError(f"{Path(argv[0]).name} ended with {code}: {' '.join(argv)[:300]}", log=log, hint=hint)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends a command and its descendants: sudo and unshare pass on no signal. apt gets time to end properly."""
    for signal, patience in (("TERM", 15), ("KILL", 15)):
        family = [str(pid) for pid in _family(child.pid)]
        subprocess.run(as_root(["kill", f"-{signal}", *family]), stdin=subprocess.DEVNULL, capture_output=True)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=patience)
            return


def _family(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = [(int(line.split()[0]), int(line.split()[1])) for line in listed.splitlines()]
    family = [pid]
    for ancestor in family:
        family += [child for child, parent in parents if parent == ancestor]
    return family


@contextmanager
def scratch(directory: Path, prefix: str) -> Iterator[Path]:
    """A directory that is removed afterwards, even with root's files in it."""
    directory.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=directory))
    try:
        yield place
    finally:
        remove_tree(place)


def remove_tree(place: Path) -> None:
    # On one file system only: should a mount be left inside, its files stay.
    argv = ["rm", "-rf", "--one-file-system", str(place)]
    subprocess.run(as_root(argv), stdin=subprocess.DEVNULL, check=False)
