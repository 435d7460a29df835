"""Parsed files, kept by the files' identity, so that a run that finds nothing changed parses no YAML."""

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
"""By so much of its first part the file may grow before all is written again."""

Item = TypeVar("Item")


class Entry(NamedTuple):
    """One file. `row` is its model as plain data, None when it was refused; `identity` is None when a later
    change might not show in it: the file is read again next time."""

    identity: Identity | None
    row: dict[str, Any] | None
    complaints: tuple[Complaint, ...] = ()


class SpecCache(NamedTuple):
    """`files` by name as shown (`accounts.d/alice.yaml`); `copies` tells the uids and home that the last good
    copy of an account has, for those change without any file of ours."""

    files: dict[str, Entry]
    copies: dict[str, tuple[dict[str, int], str]]
    base: int = 0
    """Bytes of the first part, which was written when all was."""
    end: int = 0
    """Bytes up to the end of the last part that is whole."""


def load(state: str) -> SpecCache | None:
    """None when there is nothing, or anything is odd: then all is parsed anew."""
    with suppress(*ODD), open(os.path.join(state, NAME), "rb") as file:
        if not _ours(os.fstat(file.fileno())):
            return None
        data = file.read()
        header = _header()
        if data.startswith(header):
            return _parts(memoryview(data), len(header))
    return None


def save(state: str, now: SpecCache, before: SpecCache | None) -> None:
    """Only what differs from `before`, behind what was written then, until that is much."""
    if before is not None:
        part = _part(_news(now.files, before.files, _plain), _news(now.copies, before.copies))
        if before.end + len(part) <= before.base * (1 + GROWTH):
            _append(os.path.join(state, NAME), part, before.end)
            return
    data = _header() + _part({name: _plain(entry) for name, entry in now.files.items()}, now.copies)
    replace_file(os.path.join(state, NAME), data, Durability.NONE, makes_directory=True)


def _parts(data: memoryview, at: int) -> SpecCache | None:
    """The checksum first: marshal may crash on damaged data (its documentation says so). A part behind the first
    that is not whole is one that a run was about to write: what it said is found out again."""
    found = None
    while at + 8 <= len(data):
        size, checksum = int.from_bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8])
        body = data[at + 8 : at + 8 + size]
        if len(body) != size or zlib.crc32(body) != checksum:
            break
        at += 8 + size
        files, copies = marshal.loads(body)  # noqa: S302  (a file of ours: see _ours)
        found = found or SpecCache({}, {}, base=at)
        _add(found.files, files, _entry)
        _add(found.copies, copies, lambda copy: copy)
    return found._replace(end=at) if found else None


def _part(files: dict[str, Any], copies: dict[str, Any]) -> bytes:
    body = marshal.dumps((files, copies))
    return len(body).to_bytes(4) + zlib.crc32(body).to_bytes(4) + body


def _news(
    now: dict[str, Item], before: dict[str, Item], plain: Callable[[Item], Any] = lambda item: item
) -> dict[str, Any]:
    """What is new by name, and None for what is gone."""
    new = {name: plain(item) for name, item in now.items() if before.get(name) != item}
    return new | dict.fromkeys(before.keys() - now.keys())


def _add(known: dict[str, Item], news: dict[str, Any], back: Callable[[Any], Item]) -> None:
    for name, item in news.items():
        if item is None:
            known.pop(name, None)
        else:
            known[name] = back(item)


def _append(path: str, part: bytes, end: int) -> None:
    """Whoever reads meanwhile finds a part that is not whole."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.ftruncate(descriptor, end)
        os.pwrite(descriptor, part, end)
    finally:
        os.close(descriptor)


def _entry(plain: tuple[Any, ...]) -> Entry:
    """What `_plain` made of it. Of 10,000 few have complaints."""
    entry = Entry._make(plain)
    return entry._replace(complaints=tuple(Complaint(*it) for it in plain[2])) if plain[2] else entry


def _plain(entry: Entry) -> tuple[Any, ...]:
    complaints = tuple(
        (complaint.file, complaint.text, complaint.line, complaint.column, complaint.key, complaint.warning)
        for complaint in entry.complaints
    )
    return entry.identity, entry.row, complaints


def _ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid()) and stat.S_ISREG(found.st_mode) and not found.st_mode & 0o022


def _header() -> bytes:
    """Whatever may make the same file parse to something else. A checkout changes without a new version: the
    times of its rooms stand for it."""
    rooms = [os.stat(path).st_mtime_ns for room in (model, spec) for path in room.__path__]
    return f"{NAME} {VERSION} {__version__} {sys.implementation.cache_tag} {marshal.version} {rooms}\n".encode()
