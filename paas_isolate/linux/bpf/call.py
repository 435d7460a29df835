"""bpf(2), by ctypes: maps, programs, links and pins. Sizes and layouts are those of `union bpf_attr` in linux/bpf.h.

Every call raises OSError as the kernel gives it, save what is an outcome ("no such entry"). Descriptors are O_CLOEXEC.
"""

import ctypes
import os
import platform
import struct
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from paas_isolate.errors import HostError

_NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
_NUMBER = _NUMBERS.get(platform.machine())
_libc = ctypes.CDLL(None, use_errno=True)
Buffer: TypeAlias = "ctypes.Array[ctypes.c_char]"
_LOG = 256 * 1024
PREALLOC_OFF = 1
"""BPF_F_NO_PREALLOC: memory only for entries that are there."""
CLONED = 1 << 9
"""BPF_F_CLONE: an accepted socket inherits what its listener has."""


class Command(IntEnum):
    MAP_CREATE = 0
    LOOKUP = 1
    UPDATE = 2
    DELETE = 3
    NEXT_KEY = 4
    PROG_LOAD = 5
    PIN = 6
    GET = 7
    INFO = 15
    BTF_LOAD = 18
    LOOKUP_BATCH = 24
    UPDATE_BATCH = 26
    LINK_CREATE = 28
    LINK_UPDATE = 29


class MapType(IntEnum):
    HASH = 1
    ARRAY = 2
    SK_STORAGE = 24


class Layout(NamedTuple):
    """What a map is made of; two of the same layout hold the same things. Sizes in bytes."""

    kind: MapType
    key: int
    value: int
    entries: int
    flags: int = 0


class Link(NamedTuple):
    """A program attached to a cgroup. `cgroup` is 0 when that has been removed."""

    program: int
    cgroup: int
    attach: int


def bpf(command: Command, *fields: object, form: str) -> int:
    return exchange(command, buffer(struct.pack("=" + form, *fields)))


def exchange(command: Command, attributes: Buffer) -> int:
    """The bare call; the kernel may write into the attributes."""
    if _NUMBER is None:
        raise HostError(f"the number of bpf(2) on {platform.machine()} is not known here")
    result: int = _libc.syscall(ctypes.c_long(_NUMBER), int(command), attributes, len(attributes))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf {command.name}: {os.strerror(code)}")
    return result


def address(held: Buffer) -> int:
    return ctypes.addressof(held)


def buffer(content: bytes) -> Buffer:
    return ctypes.create_string_buffer(content, len(content))


def create_map(name: str, layout: Layout, *, btf: int = 0) -> int:
    """`btf`: a descriptor whose type 1 is the key and whose type 2 is the value; sk_storage demands it."""
    types = (btf, 1, 2) if btf else (0, 0, 0)
    return bpf(Command.MAP_CREATE, *layout, 0, 0, name.encode(), 0, *types, form="5I2I16sI3I")


def load_btf(content: bytes) -> int:
    held = buffer(content)
    return bpf(Command.BTF_LOAD, address(held), 0, len(content), 0, 0, form="2Q3I")


def load_program(name: str, kind: int, attach: int, code: bytes) -> int:
    """HostError with the verifier's last words where the kernel refuses."""
    held, licence = buffer(code), buffer(b"GPL\0")
    form = "2I2Q2IQ2I16s2I"
    head = (kind, len(code) // 8, address(held), address(licence))
    tail = (0, 0, name.encode(), 0, attach)
    try:
        return bpf(Command.PROG_LOAD, *head, 0, 0, 0, *tail, form=form)
    except OSError:
        log = ctypes.create_string_buffer(_LOG)
    try:
        return bpf(Command.PROG_LOAD, *head, 1, _LOG, address(log), *tail, form=form)
    except OSError as error:
        said = "\n  ".join(log.value.decode(errors="replace").strip().splitlines()[-12:])
        raise HostError(f"the kernel refuses the program {name}: {error}", hint=said) from error


def pin(path: str, descriptor: int) -> None:
    held = buffer(os.fsencode(path) + b"\0")
    bpf(Command.PIN, address(held), descriptor, 0, form="Q2I")


def get(path: str) -> int | None:
    """The object pinned at a path; None when nothing is."""
    held = buffer(os.fsencode(path) + b"\0")
    try:
        return bpf(Command.GET, address(held), 0, 0, form="Q2I")
    except FileNotFoundError:
        return None


def link(program: int, cgroup: int, attach: int) -> int:
    return bpf(Command.LINK_CREATE, program, cgroup, attach, 0, form="4I")


def replace(linked: int, program: int) -> None:
    """One program for another in the same instant (kernel 5.7)."""
    bpf(Command.LINK_UPDATE, linked, program, 0, 0, form="4I")


def _info(descriptor: int, size: int) -> bytes:
    room = ctypes.create_string_buffer(size)
    bpf(Command.INFO, descriptor, size, address(room), form="2IQ")
    return room.raw


def layout_of(descriptor: int) -> Layout:
    kind, _, key, value, entries, flags = struct.unpack_from("=6I", _info(descriptor, 80))
    return Layout(kind, key, value, entries, flags)


def link_of(descriptor: int) -> Link:
    program, cgroup, attach = struct.unpack_from("=8xI4xQI", _info(descriptor, 48))
    return Link(program, cgroup, attach)


def program_id(descriptor: int) -> int:
    number: int = struct.unpack_from("=4xI", _info(descriptor, 80))[0]
    return number
