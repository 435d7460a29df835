"""Stacked block devices: the limit is set on the device that the file system sends its requests to, and holds there."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.guest.machine import knob, run
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customers, Specs, seconds_of

SIZE = 256 << 20


class Builder:
    """Devices on files, one on another; taken down again in the other order."""

    def __init__(self, place: Path, undo: ExitStack) -> None:
        self.place, self.undo = place, undo

    def loop(self) -> str:
        file = self.place / f"disk{len(list(self.place.iterdir()))}"
        with open(file, "wb") as disk:
            disk.truncate(SIZE)
        device = run("losetup", "--find", "--show", str(file)).strip()
        self.undo.callback(run, "losetup", "--detach", device)
        return device

    def partition(self, below: str) -> str:
        run("sfdisk", "--quiet", below, stdin=",128M\n")
        run("partx", "--update", below)
        run("udevadm", "settle")
        return f"{below}p1"

    def lvm(self, *below: str) -> str:
        """A volume with a stripe on each of them."""
        run("vgcreate", "--quiet", "pastest", *below)
        self.undo.callback(run, "vgremove", "--quiet", "--force", "pastest")
        size = ("--extents", "100%FREE", "--stripes", str(len(below)))
        run("lvcreate", "--quiet", "--yes", *size, "--name", "homes", "pastest")
        return "/dev/pastest/homes"

    def md(self, *below: str) -> str:
        words = ("--level=1", "--metadata=1.2", f"--raid-devices={len(below)}", "--assume-clean")
        run("mdadm", "--create", "/dev/md77", "--run", "--quiet", *words, *below)
        self.undo.callback(run, "mdadm", "--stop", "--quiet", "/dev/md77")
        return "/dev/md77"

    def crypt(self, below: str) -> str:
        key = self.place / "key"
        key.write_bytes(bytes(range(64)))
        words = ("--type=plain", "--cipher=aes-xts-plain64", "--key-size=512", f"--key-file={key}")
        run("cryptsetup", "open", *words, below, "pastestcrypt")
        self.undo.callback(run, "cryptsetup", "close", "pastestcrypt")
        return "/dev/mapper/pastestcrypt"

    def mounted(self, device: str, kind: str = "ext4") -> Path:
        run(f"mkfs.{kind}", "-q", device)
        return self.mount("-t", kind, device)

    def mount(self, *words: str) -> Path:
        point = Path(f"/srv/stack{len(list(self.place.iterdir()))}")
        (self.place / point.name).touch()
        point.mkdir()
        self.undo.callback(point.rmdir)
        run("mount", *words, str(point))
        self.undo.callback(run, "umount", str(point))
        return point


Stack = Callable[[Builder], tuple[Path, str]]


def logical_volume(build: Builder) -> tuple[Path, str]:
    device = build.lvm(build.partition(build.loop()))
    return build.mounted(device), device


def mirror(build: Builder) -> tuple[Path, str]:
    device = build.md(build.loop(), build.loop())
    return build.mounted(device), device


def encrypted(build: Builder) -> tuple[Path, str]:
    device = build.crypt(build.loop())
    return build.mounted(device), device


def all_of_them(build: Builder) -> tuple[Path, str]:
    device = build.crypt(build.lvm(build.md(build.partition(build.loop()), build.partition(build.loop()))))
    return build.mounted(device), device


def bound_elsewhere(build: Builder) -> tuple[Path, str]:
    device = build.loop()
    below = build.mounted(device) / "below"
    below.mkdir()
    return build.mount("--bind", str(below)), device


def a_partition_of_btrfs(build: Builder) -> tuple[Path, str]:
    whole = build.loop()
    return build.mounted(build.partition(whole), "btrfs"), whole


def a_subvolume_of_btrfs(build: Builder) -> tuple[Path, str]:
    device = build.loop()
    run("btrfs", "subvolume", "create", str(build.mounted(device, "btrfs") / "homes"))
    return build.mount("-o", "subvol=homes", device), device


STACKS = [
    logical_volume,
    mirror,
    encrypted,
    all_of_them,
    bound_elsewhere,
    a_partition_of_btrfs,
    a_subvolume_of_btrfs,
]


@pytest.fixture
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    with ExitStack() as undo:
        yield Builder(tmp_path_factory.mktemp("disks"), undo)


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack.__name__)
def test_a_limit_holds_on_the_device_below_a_home(
    build: Builder, spec: Specs, customer: Customers, paas: Paas, stack: Stack
) -> None:
    point, device = stack(build)
    name = stack.__name__.replace("_", "-")
    spec.config()
    owner = customer(name, "--home-dir", f"{point}/home")
    spec.sell(name, limits={"io": {"write": "1M"}})

    paas("reconcile")
    paas("diff", "--exit-code")

    number = run("lsblk", "--nodeps", "--noheadings", "--output", "MAJ:MIN", device).strip()
    assert knob(f"users/{name}", "io.max") == f"{number} rbps=max wbps=1048576 riops=max wiops=max"
    words = ("dd", "if=/dev/zero", f"of={point}/home/file", "bs=64k", "count=32", "oflag=direct")
    assert seconds_of(owner.runs(*words, leaf=f"users/{name}/other")) > 1.6


@pytest.mark.long
def test_bytes_on_a_volume_over_two_disks_are_counted_once(
    build: Builder, spec: Specs, customer: Customers, paas: Paas
) -> None:
    """beats 19766: the volume counts them, and each disk its half."""
    point = build.mounted(build.lvm(build.loop(), build.loop()))
    spec.config(metering={"every": "1s"})
    owner = customer("striped", "--home-dir", f"{point}/home")
    spec.sell("striped", limits={"io": "unlimited"})
    paas("reconcile")
    words = ("dd", "if=/dev/zero", f"of={point}/home/file", "bs=1M", "count=100", "oflag=direct")
    assert owner.runs(*words, leaf="users/striped/other").wait(120) == 0
    paas("reconcile")
    (row,) = paas("usage", "striped", "--json").json["rows"]
    assert row["written"] == pytest.approx(100 << 20, rel=0.01)


def test_btrfs_on_two_disks_has_no_device_that_a_limit_could_be_for(
    build: Builder, spec: Specs, customer: Customers, paas: Paas
) -> None:
    first, second = build.loop(), build.loop()
    run("mkfs.btrfs", "-q", "-d", "single", "-m", "raid1", first, second)
    point = build.mount(first)
    spec.config()
    customer("wide", "--home-dir", f"{point}/wide")
    spec.sell("wide", limits={"io": {"write": "1M"}, "pids": 40})

    answer = paas("reconcile", code=1)

    names = ", ".join(sorted(Path(device).name for device in (first, second)))
    assert f"io limits of users/wide cannot be kept: {point}/wide lies on btrfs at {point}, on 2 disks" in answer.err
    assert names in answer.err
    assert knob("users/wide", "pids.max") == "40"


def test_a_home_in_memory_is_told_to_have_no_disk(build: Builder, spec: Specs, customer: Customers, paas: Paas) -> None:
    point = build.mount("-t", "tmpfs", "nothing")
    spec.config()
    customer("fleeting", "--home-dir", f"{point}/fleeting")
    spec.sell("fleeting", limits={"io": "1M"})

    answer = paas("reconcile", code=1)

    assert f"io limits of users/fleeting cannot be kept: {point}/fleeting lies on tmpfs at {point}" in answer.err


@pytest.fixture
def served(build: Builder) -> Path:
    """A directory of this machine, mounted by NFS; and the way to take its server away."""
    export = build.place / "export"
    export.mkdir()
    run("systemctl", "start", "nfs-server")
    build.undo.callback(run, "systemctl", "stop", "nfs-server")
    run("exportfs", "-o", "rw,no_root_squash,fsid=77", f"localhost:{export}")
    point = Path("/srv/served")
    point.mkdir()
    build.undo.callback(point.rmdir)
    run("mount", "-t", "nfs4", "-o", "hard,noac", f"localhost:{export}", str(point))
    build.undo.callback(run, "umount", str(point))
    build.undo.callback(run, "systemctl", "start", "nfs-server")  # or umount waits for it
    return point


def test_a_home_on_a_server_has_no_disk_and_a_server_that_is_down_stops_nobody(
    served: Path, build: Builder, spec: Specs, customer: Customers, paas: Paas
) -> None:
    spec.config()
    customer("far", "--home-dir", f"{served}/far")
    customer("near")
    spec.sell("far", limits={"io": "1M", "pids": 40}, disk={"max": "10M"})
    spec.sell("near", limits={"io": "1M", "pids": 40})

    answer = paas("reconcile", code=1)

    told = f"io limits of users/far cannot be kept: {served}/far lies on nfs4 at {served}"
    assert told in answer.err
    assert "users/near" not in answer.err
    assert knob("users/far", "pids.max") == "40"

    run("systemctl", "stop", "nfs-server")
    spec.sell("far", limits={"io": "1M", "pids": 41}, disk={"max": "10M"})
    answer = paas("reconcile", code=1)

    assert told in answer.err
    assert f"disk of users/far cannot be kept: {served}/far lies on nfs4 at {served}" in answer.err
    assert "far" in paas("status", "far").out
    assert knob("users/far", "pids.max") == "41"
