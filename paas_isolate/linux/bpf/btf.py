"""The types that a map of socket storage must have: a word, and an array of words. See linux/btf.h and
Documentation/bpf/btf.rst."""

import struct

_INT, _ARRAY = 1, 3


def words(count: int) -> bytes:
    """BTF in which type 1 is a 32-bit integer, and type 2 an array of `count` of them."""
    names = b"\0word\0"
    integer = struct.pack("=4I", 1, _INT << 24, 4, 32)
    array = struct.pack("=6I", 0, _ARRAY << 24, 0, 1, 1, count)
    types = integer + array
    return struct.pack("=HBB5I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names)) + types + names
