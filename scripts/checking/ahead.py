"""What the last stages need is made while the first ones run: mostly that waits for the network and the disk."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from building import chroot
from testbed import host, image
from testbed.architecture import OWN
from testbed.errors import VmError
from testbed.progress import Progress

from checking.running import Stage, to_terminal

_PROGRESS = Progress(lambda line: to_terminal(f"ahead: {line}\n"))


@contextmanager
def made_ahead(stages: Iterable[Stage]) -> Iterator[None]:
    """Makes the image of the test machine and the chroot of the packages in the background, where these stages use
    them. What fails is tried again by the stage, which then says why."""
    if os.geteuid() != 0 or not {"guest", "packages"} <= {stage.name for stage in stages}:
        yield
        return
    with suppress(VmError):  # at once: two apt-get would be in each other's way
        host.require_programs(_PROGRESS, image.programs(OWN))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(_make)
        yield


def _make() -> None:
    with suppress(VmError):
        chroot.ensure("trixie", chroot.own_architecture(), progress=_PROGRESS)
        image.ensure("trixie", progress=_PROGRESS)
