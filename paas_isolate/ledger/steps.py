"""What was changed in the cgroups, quotas and services of accounts: a row for each step that was carried out."""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress

from paas_isolate.ledger.database import open_for_writing
from paas_isolate.metering.past import Change

_COLUMNS = "wall, directory, leaf, kind, was, value, sentence"


def keep(directory: str, boot: str, at: int, changes: Iterable[Change], warn: Callable[[str], None]) -> None:
    """Write changes that were just made. `at` is CLOCK_BOOTTIME in ms. LedgerError where that is impossible."""
    with closing(open_for_writing(directory, warn)) as connection:
        connection.execute(
            "PRAGMA synchronous = NORMAL"
        )  # a power cut may cost the last ones: a pass waits for no disk
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("INSERT OR IGNORE INTO boots (boot) VALUES (?)", (boot,))
            (number,) = connection.execute("SELECT id FROM boots WHERE boot = ?", (boot,)).fetchone()
            connection.executemany(
                f"INSERT INTO steps (boot, at, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                ((number, at, *change) for change in changes),
            )
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def changes(connection: sqlite3.Connection, directory: str, begin: int, end: int) -> list[Change]:
    """The changes of an account, and of all customers together (''), from `begin` to `end` (ms since 1970), in the
    order in which they were made."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM steps WHERE directory IN (?, '') AND wall BETWEEN ? AND ? ORDER BY id",  # noqa: S608
        (directory, begin, end),
    )
    return [Change(*row) for row in rows]


def prune(connection: sqlite3.Connection, before: int) -> None:
    """Delete the changes before a moment (ms since 1970)."""
    connection.execute("DELETE FROM steps WHERE wall < ?", (before,))
