"""Switches a guest's machine on and off, and watches it come up."""

import os
import re
import signal
import time
from dataclasses import replace

from testbed import host, monitor, qemu, ssh
from testbed.errors import VmError
from testbed.image import Image
from testbed.progress import Progress
from testbed.recipe import VARIANTS
from testbed.state import Place, State
from testbed.waiting import until

STOP_PATIENCE = 120.0
SILENCE = 150.0
"""Seconds without a line on the console after which a boot is lost: units print one when they start."""
SCRATCH_SIZE = 1 << 30


def switch_on(place: Place, image: Image, progress: Progress) -> State:
    forget(place)
    place.qemu_log.unlink(missing_ok=True)
    accel = qemu.accelerator(image, progress)
    overlay = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image.disk), "-F", "raw"]
    host.logged([*overlay, str(place.overlay)], log=place.qemu_log)
    for disk in place.scratch:
        with disk.open("wb") as empty:
            empty.truncate(SCRATCH_SIZE)
    known = State(
        pid=0,
        port=ssh.free_port(),
        accel=accel,
        image=str(image.directory),
        release=image.release,
        key=image.key,
        variant=image.variant,
        architecture=image.architecture,
        append=VARIANTS[image.variant].append,
    )
    return switch_on_again(place, known)


def switch_on_again(place: Place, known: State) -> State:
    """Starts a qemu on the disks as they are."""
    line = qemu.argv(known.image_used(), place, accel=known.accel, port=known.port, append=known.append)
    host.logged(line, log=place.qemu_log)
    running = replace(known, pid=int(place.pidfile.read_text()))
    running.save(place)
    return running


def cut(place: Place, known: State) -> None:
    """A power cut: the guest cannot sync. qemu ends in order, so that what the guest has written is on its disks."""
    monitor.tell(place.monitor, "quit")
    _wait_for_end(place, known)


def end_at_reboot(place: Place) -> None:
    """The next reboot of the guest ends this qemu."""
    monitor.tell(place.monitor, "set-action", reboot="shutdown")


class LostBoot(VmError):  # noqa: N818  (expected in emulation, and handled by another boot)
    """The guest will not come up."""


def check_boot(place: Place, known: State, *, since: float) -> None:
    """VmError when qemu has ended, LostBoot when the boot is lost. `since`: when the waiting began (time.time)."""
    if not known.is_alive(place):
        raise VmError("qemu ended while the guest was booting", log=place.console)
    if re.search(rb"Kernel panic - not syncing", place.console.read_bytes()):
        raise LostBoot("the guest's kernel panicked", log=place.console)
    if time.time() - max(since, place.console.stat().st_mtime) > SILENCE:
        raise LostBoot(f"the guest has said nothing for {SILENCE:.0f} s", log=place.console)


def switch_off(place: Place, known: State) -> None:
    """Waits for the guest to go down. A qemu that stays is ended, first with SIGTERM."""
    for patience, number in ((STOP_PATIENCE, signal.SIGTERM), (5.0, signal.SIGKILL)):
        if until(lambda: not known.is_alive(place), patience):
            return
        os.kill(known.pid, number)
    _wait_for_end(place, known)


def _wait_for_end(place: Place, known: State) -> None:
    if not until(lambda: not known.is_alive(place), 20.0):
        raise VmError(f"qemu (pid {known.pid}) does not end")


def forget(place: Place) -> None:
    """Removes what the guest wrote. Its logs stay, to be read."""
    for file in (place.state, place.overlay, *place.scratch, place.pidfile, place.monitor, place.control):
        file.unlink(missing_ok=True)
