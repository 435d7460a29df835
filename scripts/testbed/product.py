"""The product of the working tree: its files, their digest, and how they get into a guest."""

import hashlib
import io
import stat
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from testbed import host

TREE = "/root/paas-isolate"
PACKAGES = "/root/packages"
UNPACK = f"rm -rf {TREE}; tar -C /root -xzf -"
# The tests in the guest use the tree, where the BPF programs are not compiled: those of the installed product.
_GATE = "paas_isolate/linux/bpf/gate"
COMPILED = f"cp /usr/lib/python3/dist-packages/{_GATE}/gate.bpf.o {TREE}/{_GATE}/"

# What the packages are made of: after a change elsewhere the tree is copied into the guest again, and nothing is
# installed.
PACKAGED = {"paas_isolate", "pam", "systemd", "config", "man", "packaging", "CHANGELOG.md", "README.md", "SECURITY.md"}
# What may lie beside the source where the tree is no git checkout.
NOT_SOURCE = {".git", "__pycache__", ".venv", "build", "dist", ".mypy_cache", ".ruff_cache", ".pytest_cache"}


@dataclass(frozen=True)
class Source:
    """One file of the tree, read once, since it may be edited meanwhile."""

    path: str
    mode: int
    content: bytes
    is_link: bool

    def header(self) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(f"paas-isolate/{self.path}")
        if self.is_link:
            entry.type, entry.linkname = tarfile.SYMTYPE, self.content.decode()
        else:
            entry.size = len(self.content)
        entry.mode = self.mode
        return owned_by_root(entry)


@dataclass(frozen=True)
class Product:
    files: tuple[Source, ...]

    def digest(self) -> str:
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.path}\0{file.mode & 0o100:o}{file.is_link}{len(file.content)}\0".encode())
            digest.update(file.content)
        return digest.hexdigest()[:12]

    def packaged(self) -> "Product":
        """The part that the packages are made of: without a change in it, nothing is to be installed again."""
        return Product(tuple(file for file in self.files if Path(file.path).parts[0] in PACKAGED))

    def tarball(self) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
            for file in self.files:
                archive.addfile(file.header(), None if file.is_link else io.BytesIO(file.content))
        return packed.getvalue()


def product(source: Path = host.SOURCE) -> Product:
    return Product(tuple(file for path in sorted(_listed(source)) if (file := _read(source, path)) is not None))


def _read(source: Path, path: str) -> Source | None:
    file = source / path
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            return Source(path, 0o777, str(file.readlink()).encode(), is_link=True)
        return Source(path, stat.S_IMODE(mode), file.read_bytes(), is_link=False)
    except (FileNotFoundError, IsADirectoryError):
        # Deleted without git rm; or a submodule.
        return None


def _listed(source: Path) -> list[str]:
    """Paths of all files that git tracks or would add; all files where the tree is no git checkout."""
    git = ["git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(git, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        paths = (path.relative_to(source) for path in source.rglob("*") if not path.is_dir())
        return [str(path) for path in paths if NOT_SOURCE.isdisjoint(path.parts)]
    return [name for name in {*listed.decode().split("\0")} if name]


def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry
