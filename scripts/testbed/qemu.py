"""The virtual machine as qemu's arguments, and whether KVM works here."""

import os
import subprocess
import tempfile
from pathlib import Path

from testbed import host
from testbed.architecture import ARCHITECTURES, OWN
from testbed.image import Image
from testbed.progress import Progress
from testbed.state import Place
from testbed.waiting import until

CPUS = 2
MEMORY = 4096
KVM_PATIENCE = 20.0

KVM = ("-accel", "kvm", "-cpu", "host")
EMULATION = ("-accel", "tcg,thread=multi,tb-size=1024")

# mitigations=off: an emulated processor has no side channels, and pays much for each precaution, such as clearing all
# memory that is handed out. panic=1: a guest that hangs for good would cost each test its patience.
CMDLINE = (
    "root=/dev/vda rw rootfstype=ext4 net.ifnames=0 quiet systemd.show_status=yes mitigations=off "
    "init_on_alloc=0 fsck.mode=skip panic=1"
)


def argv(image: Image, place: Place, *, accel: str, port: int, append: str = "") -> list[str]:
    """`append`: what the kernel's command line has besides."""
    line = _processor(image, accel, MEMORY)
    line += ["-no-user-config", "-append", cmdline(image.architecture, append)]
    line += _drive(place.overlay, kind="qcow2")
    for disk in place.scratch:
        line += _drive(disk, kind="raw")
    # Only ssh comes in, and nothing goes out: no test may depend on the network around.
    line += ["-netdev", f"user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"]
    line += ["-device", "virtio-net-pci,netdev=n0"]
    line += ["-serial", f"file:{place.console}", "-qmp", f"unix:{place.monitor},server=on,wait=off"]
    return [*line, "-daemonize", "-pidfile", str(place.pidfile)]


def _processor(image: Image, accel: str, memory: int) -> list[str]:
    architecture = ARCHITECTURES[image.architecture]
    runner = KVM if accel == "kvm" else (*EMULATION, *architecture.emulation)
    line = [architecture.qemu, *architecture.hardware, *runner, "-smp", str(CPUS), "-m", str(memory)]
    line += ["-nodefaults", "-display", "none"]
    return [*line, "-kernel", str(image.kernel), "-initrd", str(image.initrd)]


def cmdline(architecture: str, append: str = "") -> str:
    words = (CMDLINE, f"console={ARCHITECTURES[architecture].console}", ARCHITECTURES[architecture].words, append)
    return " ".join(word for word in words if word)


def _drive(disk: Path, *, kind: str) -> list[str]:
    # cache=unsafe skips the host's fsync, which costs seconds at every sync of the guest. What the guest has
    # flushed then lives in qemu and in the host's memory, and is safe when qemu ends in good order, not when it
    # is killed. So nothing here ever kills a qemu whose overlay is still wanted.
    return ["-drive", f"file={disk},if=virtio,format={kind},cache=unsafe,discard=unmap"]


def accelerator(image: Image, progress: Progress) -> str:
    """`kvm` or `tcg`. Tried once a boot of this machine, with the guest's kernel: /dev/kvm alone says little."""
    if image.architecture != OWN or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    tried = [boot, image.directory.name]
    known = host.cache() / f"kvm-probe-{image.release}"
    if known.exists() and (answer := known.read_text().split())[:2] == tried:
        return answer[2]
    with progress.stage("does KVM run this kernel?"):
        found = "kvm" if _boots_under_kvm(image) else "tcg"
    known.write_text(" ".join([*tried, found]))
    return found


def _boots_under_kvm(image: Image) -> bool:
    with tempfile.TemporaryDirectory() as place:
        console = Path(place) / "console"
        console.touch()
        line = _processor(image, "kvm", 512)
        line += ["-append", f"console={ARCHITECTURES[image.architecture].console}"]
        line += ["-no-reboot", "-serial", f"file:{console}"]
        quiet = subprocess.DEVNULL
        qemu = subprocess.Popen(line, stdin=quiet, stdout=quiet, stderr=quiet)
        try:
            # The kernel is up when it starts the first program of the initrd.
            until(lambda: qemu.poll() is not None or b"Run /init" in console.read_bytes(), KVM_PATIENCE)
            return b"Run /init" in console.read_bytes()
        finally:
            qemu.kill()
            qemu.wait()
