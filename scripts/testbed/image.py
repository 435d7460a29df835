"""Builds the disk, kernel and initrd that guests start from, once for each recipe."""

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from checking import tool_env

from testbed import host, mirror
from testbed.architecture import OWN, named
from testbed.errors import VmError
from testbed.progress import Progress
from testbed.recipe import HERE, SELINUX, SELINUX_MODULE, Recipe, recipe, wheel_platforms

DISK_SIZE = "6G"
_PROGRAMS = ("mmdebstrap", "mke2fs", "qemu-img", "ssh")

# mmdebstrap mounts /proc, /sys and /dev into the tree, visible to the whole machine, and leaves them there when it is
# killed. In namespaces of its own they go with its last process, and all its processes end with the first.
ASIDE = ("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc")

# The emulation is our own, and the user namespace that it is registered in may not mount /sys.
FOREIGN = ("--skip=check/qemu", "--skip=chroot/mount/sys")


@dataclass(frozen=True)
class Image:
    directory: Path
    release: str
    key: str
    variant: str = ""
    architecture: str = OWN

    @property
    def kind(self) -> str:
        """What the directories of all images for the same use begin with."""
        architecture = "" if self.architecture == "amd64" else self.architecture
        return "-".join(word for word in (architecture, self.variant, self.release) if word)

    @property
    def disk(self) -> Path:
        return self.directory / "disk.img"

    @property
    def kernel(self) -> Path:
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.directory / "initrd.img"

    @property
    def ssh_key(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def wheels(self) -> Path:
        return self.directory / "wheels"


def find(release: str, variant: str = "", architecture: str = OWN) -> Image:
    """The image of this tree's recipe, whether it has been built or not."""
    key = recipe(release, host.SOURCE, variant, architecture).key()
    unnamed = Image(images(), release, key, variant, architecture)
    return replace(unnamed, directory=images() / f"{unnamed.kind}-{key}")


def images() -> Path:
    return host.cache() / "images"


def programs(architecture: str) -> tuple[str, ...]:
    """What makes an image and boots it. VmError where this machine can make none."""
    return (*_PROGRAMS, named(architecture).qemu)


def ensure(
    release: str, *, progress: Progress, variant: str = "", architecture: str = OWN, force: bool = False
) -> Image:
    """The image of this tree's recipe, built where it is missing, or anew with `force`. VmError where it fails."""
    image = find(release, variant, architecture)
    if image.directory.exists() and not force:
        return image
    needed = programs(architecture)
    host.require_root()
    host.require_programs(progress, needed)
    with _only_builder(progress):
        if force or not image.directory.exists():
            _build(image, recipe(release, host.SOURCE, variant, architecture), progress)
            _prune(image, progress)
    return image


@contextmanager
def _only_builder(progress: Progress) -> Iterator[None]:
    images().mkdir(parents=True, exist_ok=True)
    with (images() / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.stage("waiting for another build"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        # The builders of these were killed: only this process holds the lock.
        for leftover in images().glob(".building-*"):
            host.remove_tree(leftover)
        yield


def _build(image: Image, wanted: Recipe, progress: Progress) -> None:
    log = images() / f"{image.kind}.log"
    log.unlink(missing_ok=True)
    with host.scratch(images(), ".building-") as place:
        made = replace(image, directory=place / "image")
        made.wheels.mkdir(parents=True)
        if wanted.tests:
            with progress.stage("wheels for the guest's Python"):
                _download_wheels(made, wanted, log)
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f", str(made.ssh_key)]
        host.logged(keygen, log=log)
        tree = place / "tree"
        with progress.stage(f"mmdebstrap {image.release}, {image.architecture}"):
            _bootstrap(tree, made, wanted, log)
        with progress.stage("disk image"):
            _make_disk(tree, made, log)
        if image.directory.exists():
            host.remove_tree(image.directory)
        made.directory.rename(image.directory)


def _download_wheels(made: Image, wanted: Recipe, log: Path) -> None:
    # pip evaluates environment markers for the Python that runs it, not for the guest's. For what the product needs
    # now both agree; a dependency with `; python_version < "3.13"` would need a list made in the guest.
    for listed, names in (("product.txt", wanted.product), ("tests.txt", wanted.tests)):
        (made.wheels / listed).write_text("".join(f"{line}\n" for line in names))
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    pip += [
        "--dest",
        str(made.wheels),
        "--only-binary=:all:",
        "--implementation=cp",
        f"--python-version={wanted.release.python}",
    ]
    pip += [f"--platform={tag}" for tag in wheel_platforms(wanted.release, made.architecture)]
    hint = "a wheel for the guest's Python must exist for each of these, and this Python needs pip"
    lists = [f"--requirement={made.wheels / listed}" for listed in ("product.txt", "tests.txt")]
    host.logged([*pip, *lists], log=log, hint=hint)


def _bootstrap(tree: Path, made: Image, wanted: Recipe, log: Path) -> None:
    customize = shlex.join(["sh", str(HERE / "customize.sh")])
    inputs = shlex.join([str(made.wheels), f"{made.ssh_key}.pub"])
    # Before the kernel is installed, since its initrd is made then.
    pack = shlex.join(["tar", "-C", str(HERE / "root"), "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "-c", "."])
    settings = f'{pack} | tar -C "$1" -x'
    argv = [*ASIDE, "mmdebstrap", "--mode=root", "--variant=minbase", "--skip=cleanup/reproducible"]
    argv += [f"--architectures={made.architecture}"]
    if made.architecture != OWN:
        argv = [*_emulated(made.architecture), *argv, *FOREIGN]
    argv += [f"--include={','.join(wanted.packages)}", f"--essential-hook={settings}"]
    argv += [f'--customize-hook={customize} "$1" {inputs}']
    if made.variant == SELINUX:
        labels = shlex.join(["sh", str(HERE / "selinux.sh")])
        argv += [f'--customize-hook={labels} "$1" {shlex.quote(str(host.SOURCE / SELINUX_MODULE))}']
    argv += [f"--aptopt={option}" for option in mirror.transport_options()]
    argv += [wanted.release.name, str(tree), mirror.serving(wanted.release.name)]
    hint = "the host's apt must reach a Debian mirror; the keyring package must know the release"
    host.logged(host.as_root(argv), log=log, hint=hint)


def _emulated(architecture: str) -> list[str]:
    """What a command begins with that runs programs of another architecture."""
    try:
        emulators = tool_env.unpacked("qemu-user-static") / "usr/bin"
    except tool_env.ToolEnvError as error:
        raise VmError(str(error)) from error
    return ["sh", str(HERE / "foreign.sh"), str(emulators / f"qemu-{named(architecture).machine}-static")]


def _make_disk(tree: Path, made: Image, log: Path) -> None:
    kernels = sorted((tree / "boot").glob("vmlinuz-*"))
    if not kernels:
        raise VmError("the tree has no kernel in /boot", log=log)
    version = kernels[-1].name.removeprefix("vmlinuz-")
    # Lazy initialization would write to the disk during the first measurement.
    options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard"
    mke2fs = [host.program("mke2fs"), "-q", "-t", "ext4", "-L", "testbed", "-E", options, "-d", str(tree)]
    host.logged(host.as_root([*mke2fs, str(made.disk), DISK_SIZE]), log=log)
    for source, copy in ((f"vmlinuz-{version}", made.kernel), (f"initrd.img-{version}", made.initrd)):
        host.logged(host.as_root(["cp", str(tree / "boot" / source), str(copy)]), log=log)
    owner = f"{os.getuid()}:{os.getgid()}"
    host.logged(host.as_root(["chown", owner, str(made.disk), str(made.kernel), str(made.initrd)]), log=log)


def _prune(image: Image, progress: Progress) -> None:
    """Removes older images of the release, except one that a guest still runs from."""
    busy = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    for old in images().glob(f"{image.kind}-*"):
        if old != image.directory and old.is_dir() and str(old) not in busy:
            progress.say(f"removing {old.name}, an older image")
            shutil.rmtree(old, ignore_errors=True)
