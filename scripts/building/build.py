"""The build: a source tree for Debian is put together, and dpkg-buildpackage(1) makes the packages in the chroot."""

import io
import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from testbed import host, product
from testbed.errors import VmError
from testbed.progress import Progress
from testbed.recipe import VENDORED

from building import chroot, version

_LINTIAN = ("lintian", "--fail-on=error,warning", "--tag-display-limit=0")


def build(
    release: str,
    architecture: str,
    output: Path,
    *,
    progress: Progress,
    fresh: bool = False,
    source: bool = False,
    lint: bool = False,
    tree: Path = host.SOURCE,
) -> list[Path]:
    """The packages for a release and an architecture in the directory `output`; with `source` the source package too,
    with `lint` examined by lintian(1). Returns the paths of the binary packages. VmError where anything fails."""
    found = version.version(tree)
    vendored = [_fetched(tree, name, progress) for name in VENDORED.get(release, ())]
    used = chroot.ensure(release, architecture, progress=progress, fresh=fresh)
    log = chroot.chroots() / f"{release}-{architecture}-build.log"
    log.unlink(missing_ok=True)
    with host.scratch(chroot.chroots(), ".building-") as place:
        name = f"paas-isolate-{found.debian(release)}"
        _put_together(tree, place / name, found, release, vendored)
        command = ["dpkg-buildpackage", "--unsigned-source", "--unsigned-changes"]
        command += [] if source else ["--build=binary"]
        if architecture != chroot.own_architecture():
            command += [f"--host-arch={architecture}", "--build-profiles=cross,nocheck"]
        options = "DEB_BUILD_OPTIONS=nocheck noautodbgsym parallel=4"
        with progress.stage(f"packages for {release}, {architecture}"):
            used.run(place, ["env", f"--chdir={name}", options, *command], log=log)
        if lint:
            with progress.stage("lintian"):
                changes = [path.name for path in place.glob("*.changes")]
                used.run(place, [*_LINTIAN, *changes], log=log, hint="the tags are in the log")
        output.mkdir(parents=True, exist_ok=True)
        made = [path for path in sorted(place.iterdir()) if path.is_file()]
        for path in made:
            shutil.copyfile(path, output / path.name)
    return [output / path.name for path in made if path.suffix == ".deb"]


def _put_together(tree: Path, place: Path, found: version.Version, release: str, vendored: list[Path]) -> None:
    """The source tree that dpkg-buildpackage takes: the files of the working tree, packaging/debian as debian, its
    changelog, and vendored libraries."""
    with tarfile.open(fileobj=io.BytesIO(product.product(tree).packaged().tarball())) as archive:
        archive.extractall(place.parent, filter="data")
    (place.parent / "paas-isolate").rename(place)
    debian = place / "debian"
    (place / "packaging" / "debian").rename(debian)
    control = (debian / "control").read_text()
    (debian / "changelog").write_text(version.debian_changelog(found, release, control))
    for wheel in vendored:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith((".py", "py.typed")):
                    archive.extract(member, place / "vendor")
    for path in place.rglob("*"):
        os.utime(path, (found.date.timestamp(),) * 2)


def _fetched(tree: Path, name: str, progress: Progress) -> Path:
    """The wheel that a list of pip(1) names with its checksum, from the cache or else downloaded."""
    wanted = tree / "packaging" / "vendor" / name
    place = host.cache() / "vendored"
    words = next(line for line in wanted.read_text().splitlines() if not line.startswith("#")).split()
    kept = place / f"{words[0].replace('==', '-')}-py3-none-any.whl"
    if not kept.exists():
        host.require_programs(progress, ())
        place.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += ["--only-binary=:all:", "--require-hashes", "--dest", str(place), "--requirement", str(wanted)]
        with progress.stage(words[0]):
            host.logged(pip, log=place / "pip.log", hint="pip must reach PyPI or a mirror of it")
    if not kept.exists():
        raise VmError(f"pip has not downloaded {kept.name}")
    return kept
