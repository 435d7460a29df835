"""Switches a guest's machine on and off, and watches it come up."""

import os
import re
import signal

from testbed import host, qemu, ssh
from testbed.errors import VmError
from testbed.image import Image
from testbed.progress import Progress
from testbed.state import Place, State
from testbed.waiting import until

STOP_PATIENCE = 40.0
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
    port = ssh.free_port()
    host.logged(qemu.argv(image, place, accel=accel, port=port), log=place.qemu_log)
    pid = int(place.pidfile.read_text())
    known = State(pid, port, accel, str(image.directory), image.release, image.key)
    known.save(place)
    return known


def check_alive(place: Place, known: State) -> bool:
    if not known.is_alive(place):
        raise VmError("qemu ended while the guest was booting", log=place.console)
    if re.search(rb"Kernel panic - not syncing", place.console.read_bytes()):
        raise VmError("the guest's kernel panicked", log=place.console)
    return True


def switch_off(place: Place, known: State) -> None:
    """Waits for the guest to power off; then only that qemu is ended, first politely."""
    for patience, word in ((STOP_PATIENCE, signal.SIGTERM), (5.0, signal.SIGKILL)):
        if until(lambda: not known.is_alive(place), patience):
            return
        os.kill(known.pid, word)
    if not until(lambda: not known.is_alive(place), 5.0):
        raise VmError(f"qemu (pid {known.pid}) does not end")


def forget(place: Place) -> None:
    """What a guest wrote is gone with it. Its logs stay, to be read."""
    for file in (place.state, place.overlay, *place.scratch, place.pidfile, place.monitor, place.control):
        file.unlink(missing_ok=True)
