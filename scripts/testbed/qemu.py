"""The machine itself: its parts as qemu's arguments, and whether the processor can help."""

import os
import select
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from testbed import host
from testbed.image import Image
from testbed.progress import Progress

CPUS = 2
MEMORY = 4096
KVM_PATIENCE = 20.0

KVM = ["-accel", "kvm", "-cpu", "host"]
# Without -cx16, qemu 7.2's emulation makes the guest's kernel panic in kmalloc; five-level page tables are slow.
EMULATION = ["-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "max,-cx16,-la57"]

# mitigations=off: an emulated processor has no side channels, and pays much for each precaution.
CMDLINE = "root=/dev/vda rw rootfstype=ext4 console=ttyS0 quiet mitigations=off fsck.mode=skip"


@dataclass(frozen=True)
class Disks:
    system: Path
    scratch: tuple[Path, ...]


def accelerator(image: Image, progress: Progress) -> str:
    return "kvm" if kvm_works(image, progress) else "tcg"


def argv(image: Image, disks: Disks, *, accel: str, port: int, console: Path, pidfile: Path, qmp: Path) -> list[str]:
    line = ["qemu-system-x86_64", *(KVM if accel == "kvm" else EMULATION)]
    line += ["-smp", str(CPUS), "-m", str(MEMORY), "-nodefaults", "-no-user-config", "-display", "none"]
    line += ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", CMDLINE]
    line += _drive(disks.system, kind="qcow2")
    for disk in disks.scratch:
        line += _drive(disk, kind="raw")
    # ssh comes in, nothing goes out: a test that needs the network would be a test of the network.
    line += ["-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net-pci,netdev=n0"]
    line += ["-serial", f"file:{console}", "-qmp", f"unix:{qmp},server=on,wait=off"]
    return [*line, "-daemonize", "-pidfile", str(pidfile)]


def _drive(disk: Path, *, kind: str) -> list[str]:
    # cache=unsafe skips the host's fsync, which costs seconds at every sync of the guest. What the guest has
    # flushed lives in the host's memory: it outlives a reset of the guest (qemu goes on), not the end of qemu.
    return ["-drive", f"file={disk},if=virtio,format={kind},cache=unsafe,discard=unmap"]


def kvm_works(image: Image, progress: Progress) -> bool:
    """Tried once since this machine's boot, with the very kernel: /dev/kvm may exist and still run no guest."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    known = host.cache() / "kvm-probe"
    question = f"{boot} {image.directory.name}"
    if known.exists() and known.read_text().startswith(question):
        return known.read_text().split()[-1] == "yes"
    with progress.stage("does KVM run this kernel?"):
        works = _boots_under_kvm(image)
    known.write_text(f"{question} {'yes' if works else 'no'}\n")
    return works


def _boots_under_kvm(image: Image) -> bool:
    line = ["qemu-system-x86_64", *KVM, "-smp", str(CPUS), "-m", "512", "-nodefaults", "-display", "none"]
    line += ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", "console=ttyS0 panic=-1"]
    line += ["-no-reboot", "-serial", "stdio"]
    qemu = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        # The kernel has come all the way up when it starts the first program of the initrd.
        return _says(qemu, b"Run /init", KVM_PATIENCE)
    finally:
        qemu.kill()
        qemu.wait()


def _says(process: subprocess.Popen[bytes], wanted: bytes, patience: float) -> bool:
    assert process.stdout is not None
    end = time.monotonic() + patience
    heard = b""
    while (left := end - time.monotonic()) > 0:
        ready, _, _ = select.select([process.stdout], [], [], left)
        piece = os.read(process.stdout.fileno(), 65536) if ready else b""
        if not piece:
            return False
        heard += piece
        if wanted in heard:
            return True
    return False
