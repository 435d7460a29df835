"""The product of the working tree: what it is made of, its digest, and how it gets into a guest."""

import hashlib
import importlib.util
import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from testbed import host
from testbed.errors import VmError

TREE = "/root/paas-isolate"
WHEELS = "/root/wheels"
UNPACK = f"rm -rf {TREE}; tar -C /root -xzf -"
# The wheels that ours depends on are links, which the image has; ours is the file.
DROP_WHEEL = f"find {WHEELS} -type f -name '*.whl' -delete"

# What is in the tree for those who work on it: a change here brings the tree in again, and installs nothing.
WORKSHOP = {"tests", "bench", ".ci", ".github"}
# What an unpacked release has beside its source when it is no git checkout.
NOT_SOURCE = {".git", "__pycache__", ".venv", "build", "dist", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


@dataclass(frozen=True)
class Product:
    source: Path
    files: tuple[Path, ...]
    """Relative to source, sorted."""

    def installed(self) -> "Product":
        """The part that is on the machine after scripts/install: without it, nothing is to install."""
        return Product(self.source, tuple(file for file in self.files if _is_installed(file)))

    @property
    def is_installable(self) -> bool:
        return Path("scripts/install") in self.files and Path("pyproject.toml") in self.files

    def digest(self) -> str:
        digest = hashlib.sha256()
        for file in self.files:
            path = self.source / file
            digest.update(f"{file}\0{path.lstat().st_mode & 0o111:o}\0".encode())
            digest.update(hashlib.sha256(_content(path)).digest())
        return digest.hexdigest()[:12]

    def tarball(self) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for file in self.files:
                archive.add(self.source / file, f"paas-isolate/{file}", filter=owned_by_root)
        return packed.getvalue()


def product(source: Path = host.SOURCE) -> Product:
    found = (file for file in _listed(source) if (source / file).is_file())
    return Product(source, tuple(sorted(found)))


def _is_installed(file: Path) -> bool:
    """Of scripts/ only the installer and what it reads."""
    if file.parts[0] == "scripts":
        return file.parts[1].startswith("install")
    return file.parts[0] not in WORKSHOP


def _listed(source: Path) -> list[Path]:
    """What git would commit, committed or not; files that it ignores are not the product."""
    git = ["git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        files = (path.relative_to(source) for path in source.rglob("*"))
        return [file for file in files if NOT_SOURCE.isdisjoint(file.parts)]
    return [Path(name) for name in {*listed.decode().split("\0")} if name]


def _content(path: Path) -> bytes:
    return str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()


def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry


def build_wheel(product: Product, place: Path, wheels: Path) -> Path:
    """Made from a copy, so that nothing is left in the tree and no file that git ignores gets in.

    The build backend is the one already here, or the one that was downloaded for the image.
    """
    log = place / "wheel.log"
    with tarfile.open(fileobj=io.BytesIO(product.tarball())) as archive:
        archive.extractall(place, filter="data")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    if importlib.util.find_spec("hatchling") is not None:
        pip.append("--no-build-isolation")
    pip += ["--find-links", str(wheels), "--wheel-dir", str(place), str(place / "paas-isolate")]
    host.logged(pip, log=log, hint="build the wheel by hand to see more: python3 -m pip wheel --no-deps .")
    built = list(place.glob("*.whl"))
    if len(built) != 1:
        raise VmError(f"the build made {len(built)} wheels instead of one", log=log)
    return built[0]
