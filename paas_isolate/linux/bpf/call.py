"""bpf(2) by ctypes: maps, programs, links and pins. Sizes and layouts are those of `union bpf_attr` in linux/bpf.h.

Every function raises OSError with the kernel's error number, except where its docstring names an outcome for it, and
HostError on a machine whose system call number is not known. Descriptors are O_CLOEXEC; the caller closes them.
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
_CGROUP, _NETNS = 3, 5  # enum bpf_link_type
Buffer: TypeAlias = "ctypes.Array[ctypes.c_char]"


class Command(IntEnum):
    LOOKUP = 1
    UPDATE = 2
    DELETE = 3
    NEXT_KEY = 4
    PIN = 6
    GET = 7
    INFO = 15
    LOOKUP_BATCH = 24
    UPDATE_BATCH = 26
    LINK_CREATE = 28
    LINK_UPDATE = 29
    ITER_CREATE = 33


class Layout(NamedTuple):
    """The parameters of a map. Sizes in bytes; `entries` is the most that it holds."""

    kind: int
    key: int
    value: int
    entries: int
    flags: int = 0


class Link(NamedTuple):
    """A program that is attached: its id; the id of the cgroup, or the inode of the network namespace, that it is
    attached to (0 when that was removed, and for an iterator, which is attached to nothing)."""

    program: int
    target: int


def bpf(command: Command, *fields: object, form: str) -> int:
    """One call with `fields` packed by `form`, as struct(3) of Python says; the kernel's result."""
    return exchange(command, buffer(struct.pack("=" + form, *fields)))


def exchange(command: Command, attributes: Buffer) -> int:
    """One call with packed attributes, into which the kernel may write; the kernel's result."""
    if _NUMBER is None:
        raise HostError(f"the number of bpf(2) on {platform.machine()} is not known here")
    result: int = _libc.syscall(ctypes.c_long(_NUMBER), int(command), attributes, len(attributes))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf {command.name}: {os.strerror(code)}")
    return result


def address(memory: Buffer) -> int:
    """For the kernel. The caller keeps the buffer alive until the call is over."""
    return ctypes.addressof(memory)


def buffer(content: bytes) -> Buffer:
    return ctypes.create_string_buffer(content, len(content))


def pin(path: str, descriptor: int) -> None:
    """Give a map or link a name in bpffs, which keeps it alive."""
    memory = buffer(os.fsencode(path) + b"\0")
    bpf(Command.PIN, address(memory), descriptor, 0, form="Q2I")


def get(path: str) -> int | None:
    """A descriptor of the object that is pinned at a path; None when there is none."""
    memory = buffer(os.fsencode(path) + b"\0")
    try:
        return bpf(Command.GET, address(memory), 0, 0, form="Q2I")
    except FileNotFoundError:
        return None


def link(program: int, target: int, attach: int) -> int:
    """Attach a program to what a descriptor is of: the directory of a cgroup, or a network namespace; 0 for an
    iterator. The link's descriptor (kernel 5.7)."""
    return bpf(Command.LINK_CREATE, program, target, attach, 0, form="4I")


def replace(linked: int, program: int) -> None:
    """Replace the program of a link atomically (kernel 5.7)."""
    bpf(Command.LINK_UPDATE, linked, program, 0, 0, form="4I")


def _info(descriptor: int, size: int) -> bytes:
    memory = ctypes.create_string_buffer(size)
    bpf(Command.INFO, descriptor, size, address(memory), form="2IQ")
    return memory.raw


def layout_of(descriptor: int) -> Layout:
    """Of a map (struct bpf_map_info)."""
    kind, _, key, value, entries, flags = struct.unpack_from("=6I", _info(descriptor, 80))
    return Layout(kind, key, value, entries, flags)


def id_of(descriptor: int) -> int:
    """The id of a map: another number for each map of this boot."""
    return int(struct.unpack_from("=2I", _info(descriptor, 80))[1])


def iterate(linked: int) -> bytes:
    """Run the program of an iterator's link; what it has written (kernel 5.8)."""
    with open(bpf(Command.ITER_CREATE, linked, 0, form="2I"), "rb") as output:
        return output.read()


def link_of(descriptor: int) -> Link:
    """Of a link (struct bpf_link_info)."""
    info = _info(descriptor, 48)
    kind, _, program = struct.unpack_from("=3I", info)
    target = {_CGROUP: "=Q", _NETNS: "=I"}.get(kind)
    return Link(program, *(struct.unpack_from(target, info, 16) if target else (0,)))
