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
    twice: bool = False,
    tree: Path = host.SOURCE,
) -> list[Path]:
    """The packages for a release and an architecture in the directory `output`; with `source` the source package too,
    with `lint` examined by lintian(1); with `twice` the source package is built again, among other surroundings.
    Returns the paths of the binary packages. VmError where anything fails, or a byte of the second build differs."""
    found = version.version(tree)
    vendored = [_fetched(tree, name, progress) for name in VENDORED.get(release, ())]
    used = chroot.ensure(release, architecture, progress=progress, fresh=fresh)
    log = chroot.chroots() / f"{release}-{architecture}-build.log"
    log.unlink(missing_ok=True)
    with host.scratch(chroot.chroots(), ".building-") as place, host.scratch(chroot.chroots(), ".building-") as other:
        name = f"paas-isolate-{found.debian(release)}"
        _put_together(tree, place / name, found, release, vendored)
        with progress.stage(f"packages for {release}, {architecture}"):
            used.run(place, _building(name, architecture, source=source or twice), log=log)
        if lint:
            with progress.stage("lintian"):
                changes = [path.name for path in place.glob("*.changes")]
                used.run(place, [*_LINTIAN, *changes], log=log, hint="the tags are in the log")
        if twice:
            with progress.stage("the source package again, elsewhere"):
                _build_again(used, name, place, other, log)
        output.mkdir(parents=True, exist_ok=True)
        made = [path for path in sorted(place.iterdir()) if path.is_file()]
        for path in made:
            shutil.copyfile(path, output / path.name)
    return [output / path.name for path in made if path.suffix == ".deb"]


def _building(name: str, architecture: str, *, source: bool) -> list[str]:
    """The command that builds the source tree in the directory `name`. A warning of the C compiler ends it."""
    command = ["dpkg-buildpackage", "--unsigned-source", "--unsigned-changes"]
    command += [] if source else ["--build=binary"]
    if architecture != chroot.own_architecture():
        command += [f"--host-arch={architecture}", "--build-profiles=cross,nocheck"]
    strict = "DEB_CFLAGS_APPEND=-Werror"
    return ["env", f"--chdir={name}", "DEB_BUILD_OPTIONS=nocheck noautodbgsym parallel=4", strict, *command]


def _build_again(used: chroot.Chroot, name: str, first: Path, second: Path, log: Path) -> None:
    """Build the source package of `first`, whose tree is `name`, in `second`. VmError where one of the packages has
    another byte than there."""
    (dsc,) = first.glob("*.dsc")
    for path in (dsc, *first.glob("*.tar.*")):
        shutil.copyfile(path, second / path.name)
    used.run(second, ["dpkg-source", "--extract", dsc.name, name], log=log, among=chroot.ELSEWHERE)
    for path in second.glob("*.tar.*"):
        path.unlink()
    used.run(second, _building(name, used.architecture, source=True), log=log, among=chroot.ELSEWHERE)
    compared = sorted((*first.glob("*.deb"), *first.glob("*.dsc"), *first.glob("*.tar.*")))
    differing = [path.name for path in compared if path.read_bytes() != (second / path.name).read_bytes()]
    if differing:
        raise VmError(f"another build makes other bytes: {' '.join(differing)}", log=log)


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
