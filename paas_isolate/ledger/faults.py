"""Faults, incidents and pictures: what of them is written, and questions about them.

A fault belongs to an incident, which has its kind, level, account and plan. Pictures belong to an incident. All outlive
the cgroup and the account, but pictures: they may show arguments, and are erased with the account.
"""

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Mapping

from paas_isolate.metering.calendar import HOUR
from paas_isolate.metering.detection import Events
from paas_isolate.metering.faults import (
    JOINED,
    PICTURES,
    Fault,
    Incident,
    Kind,
    Level,
    Picture,
    Process,
    Taken,
    joined_leaf,
)

INCIDENT_DAYS_KEPT = 366
DAYS_KEPT = 30
"""Of faults and pictures. Their incident has the sums."""
_DAY = 24 * HOUR * 1000
_SUM, _HIGHEST = "amount + ?", "max(amount, ?)"
_OF_INCIDENT = "kind = ? AND level = ? AND incidents.directory = ? AND leaf = ? AND boot = ?"


def add(connection: sqlite3.Connection, boot: int, faults: Iterable[Fault]) -> None:
    """Write faults, each into its incident: the last one of its kind, level, account, leaf and plan, or a new one."""
    for fault in faults:
        key = fault.kind, fault.level, fault.directory, joined_leaf(fault), boot
        row = connection.execute(
            f"SELECT id FROM incidents WHERE {_OF_INCIDENT} AND plan = ? AND end >= ? ORDER BY end DESC LIMIT 1",  # noqa: S608
            (*key, fault.plan, fault.at - JOINED),
        ).fetchone()
        if row is None:
            incident = connection.execute(
                "INSERT INTO incidents (kind, level, directory, leaf, boot, plan, begin, end, begin_wall, end_wall, "
                "number, amount, allowed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, fault.plan, fault.at, fault.at, fault.wall, fault.wall, *fault[-3:]),
            ).lastrowid
        else:
            incident = row[0]
            amount = _HIGHEST if fault.kind is Kind.DISK else _SUM
            connection.execute(
                "UPDATE incidents SET end = max(end, ?), end_wall = ?, number = number + ?, "  # noqa: S608
                f"amount = {amount}, allowed = ? WHERE id = ?",
                (fault.at, fault.wall, fault.number, fault.amount, fault.limit, incident),
            )
        connection.execute(
            "INSERT INTO faults VALUES (?, ?, ?, ?, ?, ?, ?)",
            (incident, fault.at, fault.wall, fault.leaf, fault.number, fault.amount, fault.limit),
        )


def add_pictures(connection: sqlite3.Connection, boot: int, pictures: Iterable[Taken]) -> None:
    """Write pictures, each to the last incident that it was taken for. One that is too many, or for which there is no
    incident, is left out."""
    for taken in pictures:
        row = connection.execute(
            "SELECT id, (SELECT count(*) FROM pictures WHERE incident = id) FROM incidents "  # noqa: S608
            f"WHERE {_OF_INCIDENT} ORDER BY end DESC LIMIT 1",
            (taken.kind, taken.level, taken.directory, joined_leaf(taken), boot),
        ).fetchone()
        if row is not None and row[1] < PICTURES:
            data = zlib.compress(json.dumps(taken.picture[1:], ensure_ascii=False).encode("utf-8", "replace"))
            connection.execute(
                "INSERT INTO pictures VALUES (?, ?, ?, ?)", (row[0], taken.directory, taken.picture.wall, data)
            )


def seen(connection: sqlite3.Connection) -> dict[str, Events]:
    """Up to which events of this boot there are faults, by the path of the cgroup."""
    return {path: Events(*events) for path, *events in connection.execute("SELECT * FROM seen")}


def see(connection: sqlite3.Connection, changed: Mapping[str, Events | None]) -> None:
    """Write what is seen now; None: the cgroup is gone."""
    connection.executemany("DELETE FROM seen WHERE path = ?", ((path,) for path in changed))
    rows = [(path, *events) for path, events in changed.items() if events is not None]
    connection.executemany(f"INSERT INTO seen VALUES (?{', ?' * len(Events._fields)})", rows)  # noqa: S608


def forget(connection: sqlite3.Connection, exists: Callable[[str], bool]) -> None:
    """Erase the pictures of accounts that do not exist any more; '' stands for all accounts."""
    for (directory,) in connection.execute("SELECT DISTINCT directory FROM pictures").fetchall():
        if directory and not exists(directory):
            connection.execute("DELETE FROM pictures WHERE directory = ?", (directory,))


def prune(connection: sqlite3.Connection, wall: int) -> None:
    """Delete what is older than is kept."""
    _delete_until(connection, wall - DAYS_KEPT * _DAY)
    old = "(SELECT id FROM incidents WHERE end_wall < ?)"
    until = (wall - INCIDENT_DAYS_KEPT * _DAY,)
    connection.execute(f"DELETE FROM pictures WHERE incident IN {old}", until)  # noqa: S608
    connection.execute(f"DELETE FROM faults WHERE incident IN {old}", until)  # noqa: S608
    connection.execute("DELETE FROM incidents WHERE end_wall < ?", until)


def drop_oldest(connection: sqlite3.Connection) -> bool:
    """Delete the faults and pictures of the oldest day; whether there was one. The incidents stay."""
    (oldest,) = connection.execute("SELECT min(wall) FROM faults").fetchone()
    if oldest is not None:
        _delete_until(connection, oldest + _DAY)
    return oldest is not None


def _delete_until(connection: sqlite3.Connection, wall: int) -> None:
    connection.execute("DELETE FROM pictures WHERE wall < ?", (wall,))
    connection.execute("DELETE FROM faults WHERE wall < ?", (wall,))


_NAMED = "LEFT JOIN names ON names.directory = incidents.directory"
_ACCOUNT = "coalesce(names.name, incidents.directory)"


def faults(
    connection: sqlite3.Connection, account: str = "", kind: Kind | None = None, since: int = 0, until: int = 1 << 62
) -> list[Fault]:
    """The faults of an account ('': of all) and of a kind (None: all), from `since` to `until` (ms since 1970)."""
    rows = connection.execute(
        "SELECT kind, level, incidents.directory, faults.leaf, plan, at, wall, faults.number, faults.amount, "  # noqa: S608
        "faults.allowed "
        f"FROM faults JOIN incidents ON incidents.id = incident {_NAMED} WHERE wall BETWEEN ? AND ? "
        f"AND ? IN ('', {_ACCOUNT}) AND ? IN ('', kind) ORDER BY wall, faults.rowid",
        (since, until, account, kind or ""),
    )
    return [Fault(Kind(kind), Level(level), *rest) for kind, level, *rest in rows]


def incidents(
    connection: sqlite3.Connection, account: str = "", kind: Kind | None = None, since: int = 0, until: int = 1 << 62
) -> list[Incident]:
    """The incidents of which a part lies between `since` and `until`, as `faults`; the first to begin first."""
    rows = connection.execute(
        f"SELECT incidents.id, kind, level, {_ACCOUNT}, incidents.directory, incidents.leaf, plan, "  # noqa: S608
        f"begin_wall, end_wall, number, amount, allowed FROM incidents {_NAMED} "
        f"WHERE end_wall >= ? AND begin_wall <= ? AND ? IN ('', {_ACCOUNT}) AND ? IN ('', kind) "
        "ORDER BY begin_wall, incidents.id",
        (since, until, account, kind or ""),
    )
    return [Incident(number, Kind(kind), Level(level), *rest) for number, kind, level, *rest in rows]


def pictures(connection: sqlite3.Connection, incident: int) -> list[Picture]:
    """The pictures of an incident, by its id, the first to be taken first. One that cannot be read is left out."""
    found = []
    for wall, data in connection.execute(
        "SELECT wall, data FROM pictures WHERE incident = ? ORDER BY wall, rowid", (incident,)
    ):
        try:
            processes, before = json.loads(zlib.decompress(data))
            found.append(
                Picture(
                    wall,
                    tuple(Process(*process) for process in processes),
                    tuple(Process(*process) for process in before),
                )
            )
        except (ValueError, TypeError, zlib.error):
            continue
    return found
