"""Entries of a BPF map: one by one, or many in one call where the kernel can do that (5.6)."""

import ctypes
import errno
import struct
import sys
from collections.abc import Iterator, Mapping

from paas_isolate.linux.bpf.call import Command, Layout, address, bpf, buffer, exchange, layout_of

_BATCH = 4096
_ENOTSUPP = 524
"""The kernel's error where a type of map has no batch calls; errno(3) does not know the number."""
_ELEMENT = "I4x3Q"
_MANY = "4Q2I2Q"


class BpfMap:
    """A map by its descriptor, which the caller keeps open. Keys and values are bytes of the layout's sizes. Methods
    raise OSError as the kernel gives it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.layout: Layout = layout_of(descriptor)

    def get(self, key: bytes) -> bytes | None:
        """None when there is no such entry."""
        wanted, value = buffer(key), ctypes.create_string_buffer(self.layout.value)
        try:
            bpf(Command.LOOKUP, self.descriptor, address(wanted), address(value), 0, form=_ELEMENT)
        except FileNotFoundError:
            return None
        return value.raw

    def put(self, key: bytes, value: bytes) -> None:
        wanted, content = buffer(key), buffer(value)
        bpf(Command.UPDATE, self.descriptor, address(wanted), address(content), 0, form=_ELEMENT)

    def drop(self, key: bytes) -> bool:
        """Delete an entry; False when there was none."""
        unwanted = buffer(key)
        try:
            bpf(Command.DELETE, self.descriptor, address(unwanted), 0, 0, form=_ELEMENT)
        except FileNotFoundError:
            return False
        return True

    def put_all(self, entries: Mapping[bytes, bytes]) -> None:
        """Add or replace many entries."""
        if not entries:
            return
        keys, values = buffer(b"".join(entries)), buffer(b"".join(entries.values()))
        last = (len(entries), self.descriptor, 0, 0)
        try:
            bpf(Command.UPDATE_BATCH, 0, 0, address(keys), address(values), *last, form=_MANY)
        except OSError as error:
            if error.errno not in (errno.EINVAL, _ENOTSUPP):
                raise
            for key, value in entries.items():
                self.put(key, value)

    def items(self) -> dict[bytes, bytes]:
        """All entries."""
        try:
            return dict(self._batches())
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSPC, _ENOTSUPP):
                raise
        return dict(self._singly())

    def _batches(self) -> Iterator[tuple[bytes, bytes]]:
        position = ctypes.create_string_buffer(max(self.layout.key, 8))
        keys = ctypes.create_string_buffer(self.layout.key * _BATCH)
        values = ctypes.create_string_buffer(self.layout.value * _BATCH)
        addresses, after, more = tuple(map(address, (position, keys, values))), 0, True
        while more:
            count, more = self._batch(after, *addresses)
            after = addresses[0]
            yield from self._pairs(keys.raw, values.raw, count)

    def _batch(self, after: int, position: int, keys: int, values: int) -> tuple[int, bool]:
        """How many entries the kernel gave, and whether there are more. ENOENT comes with the last batch."""
        attributes = buffer(struct.pack("=" + _MANY, after, position, keys, values, _BATCH, self.descriptor, 0, 0))
        try:
            exchange(Command.LOOKUP_BATCH, attributes)
        except FileNotFoundError:
            return int.from_bytes(attributes.raw[32:36], sys.byteorder), False
        return int.from_bytes(attributes.raw[32:36], sys.byteorder), True

    def _pairs(self, keys: bytes, values: bytes, count: int) -> Iterator[tuple[bytes, bytes]]:
        key, value = self.layout.key, self.layout.value
        for i in range(count):
            yield keys[i * key : (i + 1) * key], values[i * value : (i + 1) * value]

    def _singly(self) -> Iterator[tuple[bytes, bytes]]:
        key = self._next(None)
        while key is not None:
            value = self.get(key)
            following = self._next(key)
            if value is not None:
                yield key, value
            key = following

    def _next(self, key: bytes | None) -> bytes | None:
        """The key behind this one, or the first; None behind the last."""
        following = ctypes.create_string_buffer(self.layout.key)
        known = buffer(key) if key is not None else None
        try:
            bpf(Command.NEXT_KEY, self.descriptor, address(known) if known else 0, address(following), 0, form=_ELEMENT)
        except FileNotFoundError:
            return None
        return following.raw
