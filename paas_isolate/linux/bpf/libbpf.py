"""Loading a compiled BPF object by libbpf(3), through ctypes: its maps are created or reused, its programs verified."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paas_isolate.errors import HostError
from paas_isolate.linux.bpf.call import Layout
from paas_isolate.linux.system import packages

LIBRARY = "libbpf.so.1"
_LAST_LINES = 12
"""Lines of the verifier's log that an error shows: the last ones say what is wrong."""

_DEBUG = 2
"""The level of libbpf's messages that only its authors need (enum libbpf_print_level)."""

_Print = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


def load_library() -> Any:
    """libbpf. HostError where it is not installed."""
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise HostError(f"{LIBRARY} cannot be loaded: {error}", hint=packages.install("libbpf1")) from error
    for name in ("bpf_object__open_mem", "bpf_object__find_map_by_name", "bpf_object__find_program_by_name"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


class BpfObject:
    """A compiled object, opened and not yet loaded. Made by `opened`."""

    def __init__(self, library: Any, pointer: int, name: str, log: list[str]) -> None:
        self._library, self._object, self._name, self._log = library, ctypes.c_void_p(pointer), name, log

    def set_constants(self, section: str, content: bytes) -> None:
        """The bytes of a section of constants, before loading. HostError where the section has another size."""
        self._check(
            self._library.bpf_map__set_initial_value(self._map(section), content, ctypes.c_size_t(len(content))),
            f"the constants in {section}",
        )

    def reuse_map(self, name: str, descriptor: int) -> None:
        """Use a map that exists already, before loading. HostError where it does not fit."""
        self._check(self._library.bpf_map__reuse_fd(self._map(name), descriptor), f"the map {name}")

    def load(self) -> None:
        """Create the maps and have the kernel verify the programs. HostError with the verifier's last words."""
        self._check(self._library.bpf_object__load(self._object), "the programs")

    def layout(self, name: str) -> Layout:
        """The parameters of a map."""
        fields = ("type", "key_size", "value_size", "max_entries", "map_flags")
        found = self._map(name)
        return Layout(*(getattr(self._library, f"bpf_map__{field}")(found) for field in fields))

    def map_descriptor(self, name: str) -> int:
        """The descriptor of a map, after loading. It is valid as long as the object is open."""
        descriptor: int = self._library.bpf_map__fd(self._map(name))
        return descriptor

    def program_descriptor(self, name: str) -> int:
        """The descriptor of a program, after loading. It is valid as long as the object is open."""
        found = self._library.bpf_object__find_program_by_name(self._object, name.encode())
        if not found:
            raise HostError(f"{self._name} has no program {name}")
        descriptor: int = self._library.bpf_program__fd(ctypes.c_void_p(found))
        return descriptor

    def _map(self, name: str) -> ctypes.c_void_p:
        found = self._library.bpf_object__find_map_by_name(self._object, name.encode())
        if not found:
            raise HostError(f"{self._name} has no map {name}")
        return ctypes.c_void_p(found)

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            lines = "".join(self._log).strip().splitlines()[-_LAST_LINES:]
            reason = os.strerror(-result)
            raise HostError(f"the kernel refuses {what} of {self._name}: {reason}", hint="\n  ".join(lines))


@contextmanager
def opened(name: str, content: bytes) -> Iterator[BpfObject]:
    """Open the bytes of an object file. Its descriptors are closed at the end; what is pinned or attached stays.

    HostError where libbpf is missing or cannot read the bytes.
    """
    library = load_library()
    log: list[str] = []
    printer = _Print(lambda level, form, values: _take(log, form, values) if level < _DEBUG else 0)
    previous = library.libbpf_set_print(printer)
    try:
        pointer = library.bpf_object__open_mem(content, ctypes.c_size_t(len(content)), None)
        if not pointer:
            raise HostError(f"{name} is no BPF object that {LIBRARY} can read", hint="".join(log).strip())
        try:
            yield BpfObject(library, pointer, name, log)
        finally:
            library.bpf_object__close(ctypes.c_void_p(pointer))
    finally:
        library.libbpf_set_print(ctypes.cast(previous, _Print) if previous else None)


def _take(log: list[str], form: bytes, values: int) -> int:
    """Keep a line that libbpf prints; `values` is a va_list, which vsnprintf(3) understands."""
    room = ctypes.create_string_buffer(1 << 16)
    written: int = ctypes.CDLL(None).vsnprintf(room, ctypes.c_size_t(len(room)), form, ctypes.c_void_p(values))
    log.append(room.value.decode(errors="replace"))
    return written
