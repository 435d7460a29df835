"""The clean chroot: a directory in the cache, made once, that builds see read-only.

A build runs as an ordinary user, in namespaces of its own, without a network; it can write to its own directory and to
/tmp alone, and both go with it. So the next build finds the same, and nothing has to be unpacked for it. Where a build
runs, as whom and with which clock and umask can be chosen, for a build that is to make the same bytes elsewhere.
"""

import fcntl
import hashlib
import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed import host, mirror
from testbed.errors import VmError
from testbed.image import ASIDE
from testbed.progress import Progress

FORMAT = 1
"""Increase it when the same packages make another chroot."""

PACKAGES = ("debhelper", "dh-python", "clang", "llvm", "libbpf-dev", "libpam0g-dev", "lintian", "python3-click")
PLACE = "/build"
"""The directory in the chroot that a build may write to."""

_NOBODY = 65534


@dataclass(frozen=True)
class Surroundings:
    """What a build must not depend on. `place` is its directory, PLACE or one below /tmp; `user` a uid and gid, None
    for the caller's (nobody's where that is root)."""

    place: str = PLACE
    zone: str = "UTC0"
    locale: str = "C.UTF-8"
    umask: int = 0o022
    user: int | None = None


ELSEWHERE = Surroundings("/tmp/another/place", "Asia/Kathmandu", "C", 0o077, 54321)  # noqa: S108  (a tmpfs of its own)


@dataclass(frozen=True)
class Chroot:
    directory: Path
    release: str
    architecture: str
    """That of the packages that it builds."""

    def run(
        self, place: Path, argv: Sequence[str], *, log: Path, hint: str = "", among: Surroundings = Surroundings()
    ) -> None:
        """Run a command in `place`, which has the path `among.place` there. VmError where its exit status is not 0."""
        user = (os.getuid() or _NOBODY) if among.user is None else among.user
        if user != os.getuid():
            subprocess.run(host.as_root(["chown", "-R", f"{user}:{user}", str(place)]), check=True)
        clean = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": among.place,
            "LC_ALL": among.locale,
            "TZ": among.zone,
        }
        command = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in clean.items()), *argv])
        inside = shlex.quote(among.place)
        script = _ENTER.format(
            base=shlex.quote(str(self.directory)),
            place=shlex.quote(str(place)),
            inside=inside,
            user=f"{user}:{user}",
            command=shlex.quote(f"cd {inside} && umask {among.umask:03o} && exec {command}"),
        )
        host.logged(host.as_root([*ASIDE, "--net", "--ipc", "sh", "-c", script]), log=log, hint=hint)


_ENTER = """\
set -eu
base={base}
mount --bind "$base" "$base"
mount -o remount,bind,ro "$base"
mount -t proc proc "$base/proc"
mount --rbind /dev "$base/dev"
mount -t tmpfs -o mode=1777 tmpfs "$base/tmp"
mkdir -p "$base"{inside}
mount --bind {place} "$base"{inside}
exec chroot --userspec={user} "$base" sh -c {command}
"""


def own_architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def find(release: str, architecture: str) -> Chroot:
    """The chroot of these packages, whether it has been made or not."""
    wanted = json.dumps([FORMAT, release, architecture, own_architecture(), packages(architecture)])
    key = hashlib.sha256(wanted.encode()).hexdigest()[:12]
    return Chroot(chroots() / f"{release}-{architecture}-{key}", release, architecture)


def chroots() -> Path:
    return host.cache() / "chroots"


def packages(architecture: str) -> tuple[str, ...]:
    """What is installed beyond build-essential; for another architecture a cross compiler too."""
    if architecture == own_architecture():
        return PACKAGES
    cross = f"crossbuild-essential-{architecture}", f"libpam0g-dev:{architecture}"
    return (*(name for name in PACKAGES if name != "libpam0g-dev"), *cross)


def ensure(release: str, architecture: str, *, progress: Progress, fresh: bool = False) -> Chroot:
    """The chroot, made where it is missing, or anew with `fresh`. VmError where that fails."""
    found = find(release, architecture)
    if found.directory.exists() and not fresh:
        return found
    host.require_root()
    host.require_programs(progress, ("mmdebstrap",))
    chroots().mkdir(parents=True, exist_ok=True)
    with (chroots() / ".lock").open("w") as lock, progress.stage(f"chroot of {release} for {architecture}"):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if fresh or not found.directory.exists():
            _make(found)
    return found


def _make(wanted: Chroot) -> None:
    log = chroots() / f"{wanted.release}-{wanted.architecture}.log"
    log.unlink(missing_ok=True)
    architectures = dict.fromkeys((own_architecture(), wanted.architecture))
    with host.scratch(chroots(), ".making-") as place:
        tree = place / "tree"
        argv = [*ASIDE, "mmdebstrap", "--mode=root", "--variant=buildd", f"--architectures={','.join(architectures)}"]
        argv += [f"--include={','.join(packages(wanted.architecture))}", f'--customize-hook=mkdir "$1{PLACE}"']
        argv += [f"--aptopt={option}" for option in mirror.transport_options()]
        argv += [wanted.release, str(tree), mirror.serving(wanted.release)]
        hint = "the host's apt must reach a Debian mirror; the keyring package must know the release"
        host.logged(host.as_root(argv), log=log, hint=hint)
        if wanted.directory.exists():
            host.remove_tree(wanted.directory)
        if subprocess.run(host.as_root(["mv", str(tree), str(wanted.directory)])).returncode:
            raise VmError(f"{wanted.directory} cannot be made")
