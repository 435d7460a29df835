"""The directory in bpffs whose entries keep maps and links alive."""

import contextlib
import os
from collections.abc import Iterator

from paas_isolate.errors import HostError
from paas_isolate.linux.bpf import call

MAPS = ("homes", "accounts", "peers", "names", "traffic", "counted", "sealed", "clients", "states", "laid")
"""The maps of gate.bpf.c. Each is pinned by its name."""


class Pins:
    """`path` is the directory. Methods raise OSError as the kernel gives it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def make(self) -> None:
        """Make the directory where it is missing. HostError where there is no bpffs for it."""
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise HostError(f"{self.path}: {error.strerror}", hint="mount -t bpf bpf /sys/fs/bpf") from error

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[int | None]:
        """A descriptor of the pinned object, for the block; None when nothing has this name."""
        descriptor = call.get(f"{self.path}/{name}")
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def keep(self, name: str, descriptor: int) -> None:
        """Pin an object under this name, in the place of the one before."""
        self.drop(name)
        call.pin(f"{self.path}/{name}", descriptor)

    def drop(self, name: str) -> None:
        """Remove a pin. A missing one is no error."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self.path}/{name}")

    def clear(self) -> None:
        """Remove all pins and the directory. Links go before maps: a program without its maps would check nothing."""
        if not os.path.isdir(self.path):
            return
        for name in sorted(os.listdir(self.path), key=lambda name: name in MAPS):
            self.drop(name)
        os.rmdir(self.path)
