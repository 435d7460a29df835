"""The processors that a guest can have, and how qemu is called for each."""

import platform
from dataclasses import dataclass

from testbed.errors import VmError


@dataclass(frozen=True)
class Architecture:
    name: str
    """Debian's."""
    machine: str
    """The kernel's (uname -m)."""
    console: str
    emulation: tuple[str, ...]
    """qemu's arguments for a processor that it emulates."""
    hardware: tuple[str, ...] = ()
    """Those for what is around the processor."""
    words: str = ""
    """What the kernel's command line has besides."""

    @property
    def qemu(self) -> str:
        return f"qemu-system-{self.machine}"


ARCHITECTURES = {
    found.name: found
    for found in (
        # Without -cx16, qemu 7.2's emulation makes the guest's kernel panic in kmalloc. Five-level page tables are
        # slow, with svm the guest would load its own KVM, and with erms it clears memory byte by byte (four times as
        # slow).
        Architecture("amd64", "x86_64", console="ttyS0", emulation=("-cpu", "max,-cx16,-la57,-svm,-erms")),
        # The kernel comes up in two thirds of the time that it takes with `max,pauth-impdef=on`.
        Architecture(
            "arm64",
            "aarch64",
            console="ttyAMA0",
            emulation=("-cpu", "cortex-a72"),
            hardware=("-machine", "virt"),
            words="systemd.getty_auto=no",  # customize.sh masks the login of ttyS0 alone
        ),
    )
}


def _own() -> str:
    machine = platform.machine()
    return next((found.name for found in ARCHITECTURES.values() if found.machine == machine), machine)


OWN = _own()
"""This machine's."""


def named(name: str) -> Architecture:
    """VmError where this machine makes no image for it."""
    if name not in ARCHITECTURES:
        raise VmError(f"a test machine is one of {', '.join(ARCHITECTURES)}, not {name}")
    if name not in (OWN, "arm64"):
        raise VmError(f"the image of a guest with {name} is not made on {OWN}", hint="--arch arm64")
    return ARCHITECTURES[name]
