"""The tools that check: a virtual environment in the cache, made once for a pyproject.toml, and Debian's programs."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]

PROGRAMS: Mapping[str, str] = {
    "shellcheck": "shellcheck",
    "gcc": "gcc",
    "git": "git",
    "mandoc": "mandoc",
    "strace": "strace",
}
"""Program -> the Debian package that has it."""

HEADERS: Mapping[str, str] = {"/usr/include/security/pam_modules.h": "libpam0g-dev"}


class ShopError(Exception):
    """A tool cannot be had; says what to do."""


@dataclass(frozen=True)
class Workshop:
    """`python` is the interpreter that has the project and its tools."""

    python: Path

    def tool(self, name: str) -> str:
        """A program of the virtual environment, or of the system."""
        own = self.python.parent / name
        return str(own) if own.exists() else name


def open_shop() -> Workshop:
    """Tools, installed where they are missing. ShopError where that needs root and we are not."""
    _programs()
    return _shop("tools", "dev")


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


def _programs() -> None:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    missing += [package for header, package in HEADERS.items() if not os.path.exists(header)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *sorted(missing)]
    if os.geteuid() != 0:
        raise ShopError(f"programs are missing; install them: sudo {' '.join(command)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "--quiet"], quiet)
    _run(command, quiet)


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
