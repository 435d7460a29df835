"""The tools of the checks: a virtual environment in the cache, made once a pyproject.toml, and Debian packages."""

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

from testbed.host import SBIN, SOURCE, cache

PROGRAMS: Mapping[str, str] = {
    "shellcheck": "shellcheck",
    "gcc": "gcc",
    "clang": "clang",
    "git": "git",
    "mandoc": "mandoc",
    "strace": "strace",
    "ip": "iproute2",
    "nft": "nftables",
}
"""Program -> its Debian package."""

LIBRARIES = SOURCE / "packaging" / "libraries"
"""Lists for pip of the versions that the releases of Debian have."""

HEADERS: Mapping[str, str] = {
    "/usr/include/security/pam_modules.h": "libpam0g-dev",
    "/usr/include/bpf/bpf_helpers.h": "libbpf-dev",
}


_INSTALL = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends")
_QUIET = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


class Daemon(NamedTuple):
    """A server's program, and the directory that it was unpacked into ('' where it is installed)."""

    program: str
    unpacked: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which it finds its libraries."""
        libraries = (f"{self.unpacked}/{lib}/{platform.machine()}-linux-gnu" for lib in ("lib", "usr/lib"))
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)} if self.unpacked else dict(os.environ)


class ToolEnvError(Exception):
    """A tool is missing and cannot be installed; the message says what to do."""


@dataclass(frozen=True)
class ToolEnv:
    """`python` is the interpreter of the virtual environment with the project and its tools."""

    python: Path

    @property
    def bytecode(self) -> Path:
        """Directory for what Python compiles, so that the next run need not, whatever the environment says of it."""
        return self.python.parents[1] / "bytecode"

    def tool(self, name: str) -> str:
        """The path of a program in the virtual environment, or else its name."""
        own = self.python.parent / name
        return str(own) if own.exists() else name


def open_tool_env() -> ToolEnv:
    """The tools, installed where they are missing. ToolEnvError where that needs root."""
    have(PROGRAMS, HEADERS)
    shop = _shop("tools", "dev,docs")
    _run([str(shop.python), "-m", "paas_isolate.linux.bpf.gate.compile"], {**os.environ, "PYTHONPATH": str(SOURCE)})
    return shop


def open_fuzz_env() -> ToolEnv:
    """The same with atheris, for which not every Python has a wheel."""
    try:
        return _shop("fuzz", "dev,fuzz", "--only-binary", "atheris")
    except ToolEnvError as error:
        if "No matching distribution found for atheris" not in str(error):
            raise
        this = f"Python {platform.python_version()} on {platform.machine()}"
        hint = "run scripts/test with a Python that https://pypi.org/project/atheris lists"
        raise ToolEnvError(f"atheris has no wheel for {this}; {hint}") from error


def open_interface_env() -> ToolEnv:
    """The same with schemathesis, which asks the HTTP interface what its description allows and what it does not."""
    return _shop("interface", "dev,interface")


def open_library_env(release: str) -> ToolEnv:
    """The same with the versions of the libraries that a release of Debian has."""
    constraints = LIBRARIES / f"{release}.txt"
    return _shop(f"libraries-{release}", "dev", "--constraint", str(constraints), key=constraints.read_text())


def _shop(name: str, extras: str, *options: str, key: str = "") -> ToolEnv:
    here = cache() / f"{name}-{_key(key)}"
    if not (here / "ready").exists():
        _make(here, extras, options)
    return ToolEnv(here / "bin" / "python")


def have(programs: Mapping[str, str], headers: Mapping[str, str] | None = None) -> None:
    """Installs missing programs and headers from their Debian packages. ToolEnvError where that needs root."""
    missing = [package for program, package in programs.items() if shutil.which(program) is None]
    missing += [package for header, package in (headers or {}).items() if not os.path.exists(header)]
    if not missing:
        return
    command = [*_INSTALL, *sorted(missing)]
    if os.geteuid() != 0:
        raise ToolEnvError(f"programs are missing; install them: sudo {' '.join(command)}")
    _run(["apt-get", "update", "--quiet"], _QUIET)
    _run(command, _QUIET)


def daemon(name: str, package: str) -> Daemon:
    """A server for tests. Where it is not installed, it is only unpacked, with its missing libraries: installing its
    package would start it for the whole machine."""
    if installed := shutil.which(name, path=SBIN):
        return Daemon(installed, "")
    place = unpacked(package)
    return Daemon(f"{place}/usr/sbin/{name}", str(place))


def unpacked(package: str) -> Path:
    """The directory in the cache into which a Debian package and its missing dependencies are unpacked."""
    place = cache() / f"{package}-{platform.freedesktop_os_release().get('VERSION_ID', '')}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as work:
            _unpack(package, Path(work))
            with suppress(OSError):  # ENOTEMPTY: another run was faster
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
        raise ToolEnvError(f"python3 -m venv does not work here ({error}); apt-get install python3-venv") from error
    pip = [str(here / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *options, "--editable", f"{SOURCE}[{extras}]"], dict(os.environ))
    (here / "ready").touch()


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise ToolEnvError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _key(more: str) -> str:
    """Another pyproject.toml, Python or directory of the tree makes new tools; `more` is what else does."""
    text = (SOURCE / "pyproject.toml").read_text() + sys.version + str(SOURCE) + more
    return hashlib.sha256(text.encode()).hexdigest()[:12]
