"""Opening the file: rights, settings that outlive a power cut, and what to do with one that is damaged."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count

from paas_isolate.errors import HostError
from paas_isolate.ledger.schema import SCHEMA, VERSION

NAME = "ledger.db"
_WAIT = 2.0
"""Seconds to wait for another writer. Readers hold nobody up (WAL)."""
_CORRUPT, _NOT_A_DATABASE = 11, 26  # SQLITE_CORRUPT, SQLITE_NOTADB: sqlite3.h, the lowest byte of an extended code


class LedgerError(HostError):
    """The administrator must act: the disk is full, or the file cannot be opened. Nothing that was written is lost."""


class DamagedError(Exception):
    """The file is no database, or parts of it contradict each other."""


def open_for_writing(directory: str, warn: Callable[[str], None]) -> sqlite3.Connection:
    """Open `directory`/ledger.db, or make it (0600 in 0700). A damaged file is set aside, which `warn` is told.
    LedgerError where it cannot be opened, or was written by a newer version."""
    path = os.path.join(directory, NAME)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise LedgerError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        return _opened(path)
    except DamagedError as damage:
        set_aside(directory, str(damage), warn)
        return open_for_writing(directory, warn)


def set_aside(directory: str, damage: str, warn: Callable[[str], None]) -> None:
    """Rename the file, so that a new one is begun. LedgerError where that is impossible."""
    path = os.path.join(directory, NAME)
    to = next(name for n in count(1) if not os.path.lexists(name := f"{path}.damaged-{n}"))
    try:
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                os.rename(path + suffix, to + suffix)
    except OSError as error:
        raise LedgerError(f"{path} is damaged ({damage}), and cannot be set aside: {error.strerror}") from error
    warn(f"{path} is damaged: {damage}; it is set aside as {os.path.basename(to)}, and a new ledger is begun")


def _opened(path: str) -> sqlite3.Connection:
    with translated(path):
        connection = sqlite3.connect(path, timeout=_WAIT, isolation_level=None, cached_statements=64)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise LedgerError(f"{path} was written by a newer paas-isolate (its version is {version})")
            if not version:
                _make(connection)
            connection.execute("PRAGMA synchronous = FULL")  # of a power cut nothing is lost that was written
            connection.execute("PRAGMA wal_autocheckpoint = 1000")
            connection.execute("SELECT generation, boot FROM state").fetchone()
        except BaseException:
            connection.close()
            raise
    return connection


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        if not connection.execute("PRAGMA user_version").fetchone()[0]:  # nobody else has made it meanwhile
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


@contextmanager
def reading(directory: str) -> Iterator[sqlite3.Connection]:
    """The file, to be read only; all that is asked is of one state of it. LedgerError where there is none, or it cannot
    be read."""
    path = os.path.join(directory, NAME)
    try:
        os.stat(path)
    except PermissionError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}", hint="sudo paas-isolate …") from error
    except OSError as error:
        hint = "`metering: {}` in config.yaml begins one; see paas-isolate.yaml(5)"
        raise LedgerError(f"there is no ledger yet: {path}", hint=hint) from error
    try:
        with translated(path), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_WAIT)) as connection:
            connection.execute("BEGIN")
            yield connection
    except DamagedError as damage:
        raise LedgerError(f"{path} is damaged: {damage}") from damage


@contextmanager
def translated(path: str) -> Iterator[None]:
    """SQLite's errors as ours: DamagedError, or LedgerError with the reason."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (_CORRUPT, _NOT_A_DATABASE):
            raise DamagedError(str(error)) from error
        if isinstance(error, sqlite3.OperationalError):
            raise LedgerError(f"{path}: {error}") from error
        raise
