"""What was hit lately, by account."""

import sqlite3

from paas_isolate.ledger.queries import last_sample
from paas_isolate.metering.calendar import HOUR
from paas_isolate.metering.use import GAP


def faults_of_last_hour(connection: sqlite3.Connection, wall: int) -> dict[str, int] | None:
    """Processes killed for memory and forks refused, by account directory, in the hour of `wall` (ms since 1970) and
    the one before. None where nothing is measured now."""
    sampled = last_sample(connection)
    if sampled is None or wall - sampled.wall > GAP:
        return None
    rows = connection.execute(
        "SELECT series.directory, sum(coalesce(killed, 0) + coalesce(refused, 0)) FROM spans "
        "JOIN uses ON uses.span = spans.id JOIN series ON series.id = uses.series "
        "WHERE spans.kind = 'hour' AND spans.label >= ? GROUP BY series.directory",
        (wall // 1000 // HOUR - 1,),
    )
    return dict(rows)
