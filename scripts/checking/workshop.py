"""The tools that check: a virtual environment in the cache, made once for a pyproject.toml, and Debian's programs."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[2]

PROGRAMS: Mapping[str, str] = {
    "shellcheck": "shellcheck",
    "gcc": "gcc",
    "git": "git",
    "mandoc": "mandoc",
    "strace": "strace",
    "ip": "iproute2",
    "nft": "nftables",
}
"""Program -> the Debian package that has it."""

HEADERS: Mapping[str, str] = {"/usr/include/security/pam_modules.h": "libpam0g-dev"}


_INSTALL = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends")
_QUIET = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class Daemon(NamedTuple):
    """A server's program, and the directory that holds what was unpacked with it ('' where it is installed)."""

    program: str
    unpacked: str

    @property
    def environment(self) -> dict[str, str]:
        """Where its libraries are."""
        here = (f"{self.unpacked}/{lib}/{platform.machine()}-linux-gnu" for lib in ("lib", "usr/lib"))
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(here)} if self.unpacked else dict(os.environ)


class ShopError(Exception):
    """A tool cannot be had; says what to do."""


@dataclass(frozen=True)
class Workshop:
    """`python` is the interpreter that has the project and its tools."""

    python: Path

    @property
    def bytecode(self) -> Path:
        """Directory for what Python compiles, so that the next run need not, whatever the environment says of it."""
        return self.python.parents[1] / "bytecode"

    def tool(self, name: str) -> str:
        """A program of the virtual environment, or of the system."""
        own = self.python.parent / name
        return str(own) if own.exists() else name


def open_shop() -> Workshop:
    """Tools, installed where they are missing. ShopError where that needs root and we are not."""
    have(PROGRAMS, HEADERS)
    return _shop("tools", "dev,docs")


def open_fuzz_shop() -> Workshop:
    """The same with atheris, which few need and not every Python can have."""
    try:
        return _shop("fuzz", "dev,fuzz", "--only-binary", "atheris")
    except ShopError as error:
        if "No matching distribution found for atheris" not in str(error):
            raise
        here = f"Python {platform.python_version()} on {platform.machine()}"
        text = (
            f"atheris has no wheel for {here}; run scripts/test with a Python that https://pypi.org/project/atheris has"
        )
        raise ShopError(text) from error


def _shop(name: str, extras: str, *options: str) -> Workshop:
    here = _cache() / f"{name}-{_key()}"
    if not (here / "ready").exists():
        _make(here, extras, options)
    return Workshop(here / "bin" / "python")


def have(programs: Mapping[str, str], headers: Mapping[str, str] | None = None) -> None:
    """Installs what is missing. ShopError where that needs root and we are not."""
    missing = [package for program, package in programs.items() if shutil.which(program) is None]
    missing += [package for header, package in (headers or {}).items() if not os.path.exists(header)]
    if not missing:
        return
    command = [*_INSTALL, *sorted(missing)]
    if os.geteuid() != 0:
        raise ShopError(f"programs are missing; install them: sudo {' '.join(command)}")
    _run(["apt-get", "update", "--quiet"], _QUIET)
    _run(command, _QUIET)


def daemon(name: str, package: str) -> Daemon:
    """A server for tests, unpacked with the libraries that are missing and not installed: its package would start it
    for the whole machine."""
    if installed := shutil.which(name, path=SBIN):
        return Daemon(installed, "")
    place = unpacked(package)
    return Daemon(f"{place}/usr/sbin/{name}", str(place))


def unpacked(package: str) -> Path:
    """A package of the distribution, with what it needs and is missing here: in the cache, and not installed."""
    place = _cache() / f"{package}-{platform.freedesktop_os_release().get('VERSION_ID', '')}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as work:
            _unpack(package, Path(work))
            with suppress(OSError):  # ENOTEMPTY: somebody else was faster
                os.rename(f"{work}/unpacked", place)
    return place


def _unpack(package: str, work: Path) -> None:
    (work / "partial").mkdir()
    (work / "unpacked").mkdir()
    _run(["apt-get", "update", "--quiet"], _QUIET)
    _run([*_INSTALL, "--download-only", "-o", f"Dir::Cache::archives={work}", package], _QUIET)
    for archive in sorted(work.glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(archive), str(work / "unpacked")], _QUIET)


def _make(here: Path, extras: str, options: Sequence[str]) -> None:
    print(f"scripts/test: tools into {here} (once, a minute) ...", flush=True)
    shutil.rmtree(here, ignore_errors=True)
    try:
        venv.create(here, with_pip=True, symlinks=True)
    except (subprocess.CalledProcessError, OSError) as error:
        raise ShopError(f"python3 -m venv does not work here ({error}); apt-get install python3-venv") from error
    pip = [str(here / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *options, "--editable", f"{SOURCE}[{extras}]"], dict(os.environ))
    (here / "ready").touch()


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise ShopError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _key() -> str:
    """A change of dependencies, of Python or of the place of the tree makes new tools."""
    text = (SOURCE / "pyproject.toml").read_text() + sys.version + str(SOURCE)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("PAAS_ISOLATE_CACHE") or Path(base, "paas-isolate"))
