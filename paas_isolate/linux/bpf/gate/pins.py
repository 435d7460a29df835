"""The directory in bpffs whose entries keep maps and links alive."""

import contextlib
import os
from collections.abc import Iterator

from paas_isolate.errors import HostError
from paas_isolate.linux.bpf import btf, call
from paas_isolate.linux.bpf.call import Layout, MapType
from paas_isolate.linux.bpf.gate.frame import Name

ENTRIES = 131072
LAYOUTS = {
    "homes": Layout(MapType.HASH, 4, 24, ENTRIES, call.PREALLOC_OFF),
    "peers": Layout(MapType.HASH, 20, 1, ENTRIES, call.PREALLOC_OFF),
    "names": Layout(MapType.SK_STORAGE, 4, 4 * Name.WORDS, 0, call.PREALLOC_OFF | call.CLONED),
    "traffic": Layout(MapType.HASH, 8, 32, ENTRIES, call.PREALLOC_OFF),
    "laid": Layout(MapType.ARRAY, 4, 32, 1),
}
"""The layouts of the maps, by the names of their pins."""


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
        for name in sorted(os.listdir(self.path), key=lambda name: name in LAYOUTS):
            self.drop(name)
        os.rmdir(self.path)

    def table(self, name: str) -> int:
        """A descriptor of the map of this name, which is made anew where it is missing or of another layout."""
        layout, found = LAYOUTS[name], call.get(f"{self.path}/{name}")
        if found is not None and call.layout_of(found) == layout:
            return found
        if found is not None:
            os.close(found)
        made = make_table(name)
        self.keep(name, made)
        return made


def make_table(name: str) -> int:
    """A descriptor of a new map with the layout of this name, which nothing keeps alive yet."""
    layout = LAYOUTS[name]
    if layout.kind is not MapType.SK_STORAGE:
        return call.create_map(name, layout)
    types = call.load_btf(btf.words(Name.WORDS))
    try:
        return call.create_map(name, layout, btf=types)
    finally:
        os.close(types)
