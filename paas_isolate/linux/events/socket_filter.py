"""A filter in the kernel for the proc connector's events: changes to uids that are no customer's wake nobody. There are
hundreds of them for each one that matters.

It is a classic BPF filter of the socket (kernel Documentation/networking/filter.rst). A filtered event is not lost: the
next change of the process is reported again. The filter knows a range of uids only; what passes is checked as before.
"""

import ctypes
import socket
import struct
import sys
from collections.abc import Collection

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
_STEP = struct.Struct("=HBBI")  # struct sock_filter: code, steps to skip when true, when false, operand
_WORD, _BYTE, _SHIFT, _OR_X, _TO_X, _EQUAL, _LEAST, _MORE, _END = 0x20, 0x30, 0x64, 0x4C, 0x07, 0x15, 0x35, 0x25, 0x06
_WHAT, _EUID = 36, 64  # of linux/cn_proc.h, after nlmsghdr and cn_msg
_EXEC, _UID = 0x2, 0x4
_ALL, _NOTHING = 1 << 18, 0  # bytes that are kept


def attach(of: socket.socket, first: int, last: int, *, execs: bool, without: Collection[int] = ()) -> None:
    """Let the socket `of` receive only changes to the uids first to last, and every execve(2) with `execs`. Uids in
    `without` are left out: a few hundred at most, because a jump in the filter has eight bits.
    OSError when the kernel refuses the filter."""
    steps = b"".join(_STEP.pack(*step) for step in _steps(first, last, without, execs=execs))
    buffer = ctypes.create_string_buffer(steps, len(steps))
    program = struct.pack("HP", len(steps) // _STEP.size, ctypes.addressof(buffer))  # struct sock_fprog
    of.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _steps(first: int, last: int, without: Collection[int], *, execs: bool) -> list[tuple[int, int, int, int]]:
    """The filter's instructions. It loads a word in network byte order, but the uid is in the host's: so the uid is
    loaded byte by byte."""
    order = range(3, -1, -1) if sys.byteorder == "little" else range(4)
    uid = [(_BYTE, 0, 0, _EUID + order[0])]
    for place in order[1:]:
        uid += [(_SHIFT, 0, 0, 8), (_TO_X, 0, 0, 0), (_BYTE, 0, 0, _EUID + place), (_OR_X, 0, 0, 0)]
    uid += [(_EQUAL, skip + 3, 0, one) for skip, one in zip(range(len(without))[::-1], without, strict=True)]
    ours = [*uid, (_LEAST, 0, 2, first), (_MORE, 1, 0, last), (_END, 0, 0, _ALL), (_END, 0, 0, _NOTHING)]
    what = [(_WORD, 0, 0, _WHAT), (_EQUAL, 0, 1, socket.htonl(_EXEC)), (_END, 0, 0, _ALL if execs else _NOTHING)]
    return [*what, (_EQUAL, 0, len(ours) - 1, socket.htonl(_UID)), *ours]
