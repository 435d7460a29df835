"""Caches parsed files by their identity, so that a run in which nothing has changed parses no YAML.

STATE/compiled is one header line, then parts. Each part is its size and the CRC-32 of its body (4 bytes each, big
endian), then the body, marshalled. Later parts change what earlier ones say.
"""

import marshal
import os
import stat
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from paas_isolate import __version__, model, spec
from paas_isolate.errors import Complaint
from paas_isolate.replace_file import Durability, replace_file
from paas_isolate.source.damaged import ODD
from paas_isolate.source.files import Identity
from paas_isolate.spec.serialize import VERSION

NAME = "compiled"

GROWTH = 0.25
"""The file may grow by this share of its first part. Then all of it is written again."""

Item = TypeVar("Item")


class Entry(NamedTuple):
    """One file. `row` is its model as plain data; None where the file was refused. `identity` is None where a later
    change might not show in it: then the next run reads the file again."""

    identity: Identity | None
    row: dict[str, Any] | None
    complaints: tuple[Complaint, ...] = ()


class SpecCache(NamedTuple):
    """`files` is by name as complaints show it (`accounts.d/alice.yaml`). `copies` has, by account, the uids and the
    home in its last good copy: these may change while no specification does."""

    files: dict[str, Entry]
    copies: dict[str, tuple[dict[str, int], str]]
    base: int = 0
    """Where the first part ends, in bytes from the start of the file."""
    end: int = 0
    """Where the last complete part ends, in bytes from the start of the file."""


def load(state: str) -> SpecCache | None:
    """What the last run cached. None where the file is missing, damaged, of another version, or may have been written
    by somebody else: then every specification is parsed again."""
    with suppress(*ODD), open(os.path.join(state, NAME), "rb") as file:
        if not _ours(os.fstat(file.fileno())):
            return None
        data = file.read()
        header = _header()
        if data.startswith(header):
            return _parts(memoryview(data), len(header))
    return None


def save(state: str, now: SpecCache, before: SpecCache | None) -> None:
    """Appends a part with what differs from `before`, or writes all of it where the file would grow by more than
    GROWTH. Raises OSError where the file cannot be written."""
    if before is not None:
        part = _part(_changes(now.files, before.files, _plain), _changes(now.copies, before.copies))
        if before.end + len(part) <= before.base * (1 + GROWTH):
            _append(os.path.join(state, NAME), part, before.end)
            return
    data = _header() + _part({name: _plain(entry) for name, entry in now.files.items()}, now.copies)
    replace_file(os.path.join(state, NAME), data, Durability.NONE, makes_directory=True)


def _parts(data: memoryview, at: int) -> SpecCache | None:
    """Checks each part's CRC before marshal reads it: damaged data may crash the interpreter (the documentation of
    Python's marshal). An incomplete part is that of a run which was interrupted: its changes are found again."""
    cache = None
    while at + 8 <= len(data):
        size, checksum = int.from_bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8])
        body = data[at + 8 : at + 8 + size]
        if len(body) != size or zlib.crc32(body) != checksum:
            break
        at += 8 + size
        files, copies = marshal.loads(body)  # noqa: S302  (our own file: see _ours)
        cache = cache or SpecCache({}, {}, base=at)
        _update(cache.files, files, _entry)
        _update(cache.copies, copies, lambda copy: copy)
    return cache._replace(end=at) if cache else None


def _part(files: dict[str, Any], copies: dict[str, Any]) -> bytes:
    body = marshal.dumps((files, copies))
    return len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4) + body


def _changes(
    now: dict[str, Item], before: dict[str, Item], plain: Callable[[Item], Any] = lambda item: item
) -> dict[str, Any]:
    """New and changed items by name; None for those that are gone."""
    changed = {name: plain(item) for name, item in now.items() if before.get(name) != item}
    return changed | dict.fromkeys(before.keys() - now.keys())


def _update(known: dict[str, Item], changes: dict[str, Any], back: Callable[[Any], Item]) -> None:
    for name, item in changes.items():
        if item is None:
            known.pop(name, None)
        else:
            known[name] = back(item)


def _append(path: str, part: bytes, end: int) -> None:
    """A reader in the meantime sees an incomplete part, and ignores it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.ftruncate(descriptor, end)
        os.pwrite(descriptor, part, end)
    finally:
        os.close(descriptor)


def _entry(plain: tuple[Any, ...]) -> Entry:
    """The reverse of `_plain`. Few of 10,000 files have complaints, so the usual case does no more than it must."""
    entry = Entry._make(plain)
    return entry._replace(complaints=tuple(Complaint(*fields) for fields in plain[2])) if plain[2] else entry


def _plain(entry: Entry) -> tuple[Any, ...]:
    complaints = tuple(
        (complaint.file, complaint.text, complaint.line, complaint.column, complaint.key, complaint.warning)
        for complaint in entry.complaints
    )
    return entry.identity, entry.row, complaints


def _ours(status: os.stat_result) -> bool:
    return status.st_uid in (0, os.geteuid()) and stat.S_ISREG(status.st_mode) and not status.st_mode & 0o022


def _header() -> bytes:
    """Everything by which the same file may parse to something else. The code of a checkout changes without a new
    version, so the modification times of its packages are part of it."""
    times = [os.stat(path).st_mtime_ns for package in (model, spec) for path in package.__path__]
    return f"{NAME} {VERSION} {__version__} {sys.implementation.cache_tag} {marshal.version} {times}\n".encode()
