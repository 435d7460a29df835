"""The tables of the ledger.

`spans` are hours and days. There are several of the same hour or day where the machine was rebooted or the clock was
set back: what was written once keeps its meaning. `label` is an hour since 1970 (UTC) or a date in `zone`; `begin` is
CLOCK_BOOTTIME in ms. `series` are what is counted: an account ('' as leaf) or a leaf, while it has one plan. `chunks`
are samples of a minute, `blocks` of an hour (see metering.blocks). `labels` and `names` are those that an account had
last. `mount_options` are those of cgroup2 that changed what was counted in a month, or in a part of it. `incidents`
join `faults` (see metering.faults), and outlive them; `allowed` is the limit; `seen` is what of the counters of this
boot is in them. Columns named `wall` are ms since 1970; `at`, `begin` and `end` are CLOCK_BOOTTIME.
"""

from paas_isolate.metering.detection import Events
from paas_isolate.metering.reading import Counters, Levels
from paas_isolate.metering.use import HIGHEST, SUMMED, Use

VERSION = 1


def _columns(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}" INTEGER' for name in names)


SCHEMA = f"""
CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, boot INTEGER NOT NULL,
    at INTEGER NOT NULL, wall INTEGER NOT NULL);
CREATE TABLE boots (id INTEGER PRIMARY KEY, boot TEXT NOT NULL UNIQUE);
CREATE TABLE names (directory TEXT PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE mount_options (month TEXT NOT NULL, option TEXT NOT NULL, PRIMARY KEY (month, option)) WITHOUT ROWID;
CREATE TABLE labels (directory TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (directory, key)) WITHOUT ROWID;
CREATE TABLE series (id INTEGER PRIMARY KEY, directory TEXT NOT NULL, leaf TEXT NOT NULL, plan TEXT NOT NULL,
    UNIQUE (directory, leaf, plan));
CREATE TABLE bases (path TEXT PRIMARY KEY, inode INTEGER NOT NULL, at INTEGER NOT NULL,
    {_columns(Counters._fields)}, {_columns(Levels._fields)}, traffic_map INTEGER) WITHOUT ROWID;
CREATE TABLE spans (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, label NOT NULL, zone TEXT NOT NULL,
    boot INTEGER NOT NULL, begin INTEGER NOT NULL, wall INTEGER NOT NULL);
CREATE INDEX spans_by_label ON spans (kind, label);
CREATE TABLE uses (span INTEGER NOT NULL, series INTEGER NOT NULL, {_columns(Use._fields)},
    PRIMARY KEY (span, series)) WITHOUT ROWID;
CREATE TABLE chunks (hour INTEGER NOT NULL, series INTEGER NOT NULL, boot INTEGER NOT NULL, begin INTEGER NOT NULL,
    wall INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (hour, series, boot, begin)) WITHOUT ROWID;
CREATE TABLE blocks (seconds INTEGER NOT NULL, hour INTEGER NOT NULL, series INTEGER NOT NULL, boot INTEGER NOT NULL,
    begin INTEGER NOT NULL, wall INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (seconds, hour, series, boot, begin));
CREATE TABLE seen (path TEXT PRIMARY KEY, {_columns(Events._fields)}) WITHOUT ROWID;
CREATE TABLE incidents (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, level TEXT NOT NULL, directory TEXT NOT NULL,
    leaf TEXT NOT NULL, boot INTEGER NOT NULL, plan TEXT NOT NULL, begin INTEGER NOT NULL, end INTEGER NOT NULL,
    begin_wall INTEGER NOT NULL, end_wall INTEGER NOT NULL, number INTEGER NOT NULL, amount INTEGER,
    allowed TEXT NOT NULL);
CREATE INDEX incidents_by_account ON incidents (directory, kind, level, leaf, end);
CREATE INDEX incidents_by_wall ON incidents (end_wall);
CREATE TABLE faults (incident INTEGER NOT NULL, at INTEGER NOT NULL, wall INTEGER NOT NULL, leaf TEXT NOT NULL,
    number INTEGER NOT NULL, amount INTEGER, allowed TEXT NOT NULL);
CREATE INDEX faults_by_incident ON faults (incident, at);
CREATE INDEX faults_by_wall ON faults (wall);
CREATE TABLE pictures (incident INTEGER NOT NULL, directory TEXT NOT NULL, wall INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX pictures_by_incident ON pictures (incident);
CREATE INDEX pictures_by_account ON pictures (directory);
CREATE TABLE steps (id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at INTEGER NOT NULL, wall INTEGER NOT NULL,
    directory TEXT NOT NULL, leaf TEXT NOT NULL, kind TEXT NOT NULL, was TEXT, value TEXT, sentence TEXT NOT NULL);
CREATE INDEX steps_by_account ON steps (directory, wall);
PRAGMA user_version = {VERSION};
"""

_BASE_COLUMNS = ("path", "inode", "at", *Counters._fields, *Levels._fields, "traffic_map")
PUT_BASE = f"INSERT OR REPLACE INTO bases VALUES ({', '.join('?' * len(_BASE_COLUMNS))})"  # noqa: S608

_ADDED = [f'"{name}" = coalesce("{name}" + excluded."{name}", "{name}", excluded."{name}")' for name in SUMMED]
_HIGHER = [
    f'"{name}" = max(coalesce("{name}", excluded."{name}"), coalesce(excluded."{name}", "{name}"))' for name in HIGHEST
]
ADD_USE = (
    f"INSERT INTO uses VALUES ({', '.join('?' * (len(Use._fields) + 2))}) "  # noqa: S608  (names of ours)
    f"ON CONFLICT (span, series) DO UPDATE SET {', '.join([*_ADDED, *_HIGHER])}"
)

_SUMS = [f'sum("{name}")' for name in SUMMED] + [f'max("{name}")' for name in HIGHEST]
SUMS = ", ".join(_SUMS)
"""The columns of a Use that sums several rows of `uses`."""
