"""What the kernel sifts of the proc connector's events before anybody is woken: who becomes somebody that is not ours
is no news, and there are hundreds of those for each of ours.

A classic filter of the socket (kernel Documentation/networking/filter.rst). What it drops is no event lost: whoever
changes again is told again. It knows a range of uids and no more; what comes through is looked up as before.
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
    """From now on `of` hears who becomes one of these uids, and with `execs` who becomes another program. `without` are
    some hundred uids at the most that it does not hear."""
    steps = b"".join(_STEP.pack(*step) for step in _steps(first, last, without, execs=execs))
    held = ctypes.create_string_buffer(steps, len(steps))
    program = struct.pack("HP", len(steps) // _STEP.size, ctypes.addressof(held))  # struct sock_fprog
    of.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _steps(first: int, last: int, without: Collection[int], *, execs: bool) -> list[tuple[int, int, int, int]]:
    """A word is read in the network's order, mostly the wrong one for the host's numbers: the uid is read by bytes."""
    order = range(3, -1, -1) if sys.byteorder == "little" else range(4)
    uid = [(_BYTE, 0, 0, _EUID + order[0])]
    for place in order[1:]:
        uid += [(_SHIFT, 0, 0, 8), (_TO_X, 0, 0, 0), (_BYTE, 0, 0, _EUID + place), (_OR_X, 0, 0, 0)]
    uid += [(_EQUAL, number + 3, 0, it) for number, it in zip(range(len(without))[::-1], without, strict=True)]
    ours = [*uid, (_LEAST, 0, 2, first), (_MORE, 1, 0, last), (_END, 0, 0, _ALL), (_END, 0, 0, _NOTHING)]
    what = [(_WORD, 0, 0, _WHAT), (_EQUAL, 0, 1, socket.htonl(_EXEC)), (_END, 0, 0, _ALL if execs else _NOTHING)]
    return [*what, (_EQUAL, 0, len(ours) - 1, socket.htonl(_UID)), *ours]
