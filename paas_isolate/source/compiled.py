"""Parsed files, kept by the files' identity, so that a run that finds nothing changed parses no YAML."""

import marshal
import os
import stat
import sys
import zlib
from contextlib import suppress
from typing import Any, NamedTuple

from paas_isolate import __version__, model, spec
from paas_isolate.errors import Complaint
from paas_isolate.source.files import Identity
from paas_isolate.source.keep import ODD, keep
from paas_isolate.spec.plain import VERSION

NAME = "compiled"


class Entry(NamedTuple):
    """One file. `row` is its model as plain data, None when it was refused; `identity` is None when a later
    change might not show in it: the file is read again next time."""

    identity: Identity | None
    row: dict[str, Any] | None
    complaints: tuple[Complaint, ...] = ()


class Compiled(NamedTuple):
    """`files` by name as shown (`accounts.d/alice.yaml`); `copies` tells the uids and home that the last good
    copy of an account has, for those change without any file of ours."""

    files: dict[str, Entry]
    copies: dict[str, tuple[dict[str, int], str]]


def load(state: str) -> Compiled | None:
    """None when there is nothing, or anything is odd: then all is parsed anew."""
    with suppress(*ODD), open(os.path.join(state, NAME), "rb") as file:
        if not _ours(os.fstat(file.fileno())):
            return None
        data = file.read()
        header = _header()
        checksum, body = data[len(header) : len(header) + 4], memoryview(data)[len(header) + 4 :]
        # the checksum first: marshal may crash on damaged data (its documentation says so)
        if data.startswith(header) and checksum == zlib.crc32(body).to_bytes(4, "big"):
            files, copies = marshal.loads(body)  # noqa: S302  (a file of ours: see _ours)
            return Compiled({name: _entry(*entry) for name, entry in files.items()}, copies)
    return None


def save(state: str, compiled: Compiled) -> None:
    files = {name: _plain(entry) for name, entry in compiled.files.items()}
    body = marshal.dumps((files, compiled.copies))
    keep(state, NAME, _header() + zlib.crc32(body).to_bytes(4, "big") + body)


def _entry(identity: Identity | None, row: dict[str, Any] | None, complaints: tuple[Any, ...]) -> Entry:
    return Entry(identity, row, tuple(Complaint(*it) for it in complaints) if complaints else ())


def _plain(entry: Entry) -> tuple[Any, ...]:
    complaints = tuple((it.file, it.text, it.line, it.column, it.key, it.warning) for it in entry.complaints)
    return entry.identity, entry.row, complaints


def _ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid()) and stat.S_ISREG(found.st_mode) and not found.st_mode & 0o022


def _header() -> bytes:
    """Whatever may make the same file parse to something else. A checkout changes without a new version: the
    times of its rooms stand for it."""
    rooms = [os.stat(path).st_mtime_ns for room in (model, spec) for path in room.__path__]
    return f"{NAME} {VERSION} {__version__} {sys.implementation.cache_tag} {marshal.version} {rooms}\n".encode()
