"""Metrics as text: OpenMetrics 1.0, and the text format 0.0.4 of Prometheus.

https://prometheus.io/docs/specs/om/open_metrics_spec/ and https://prometheus.io/docs/instrumenting/exposition_formats/.
A library that makes an object of each sample takes nine times as long for 20,000 accounts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from paas_isolate.metering.reading import Counters, Levels, Number
from paas_isolate.text import escaped

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "paas_isolate_"


class Limited(NamedTuple):
    """Limits that a cgroup has; None: it has no limit, and then there is no series. Bytes, cores, processes."""

    memory: Number = None
    memory_high: Number = None
    swap: Number = None
    cpu: float | None = None
    pids: Number = None


class Measured(NamedTuple):
    """An account ('' as leaf) or a leaf at the moment of the scrape. What an account's limits and those of its leaves
    did counts as the account's."""

    account: str
    leaf: str
    counters: Counters
    levels: Levels
    limits: Limited


class Sold(NamedTuple):
    """What an account is sold, for the one info series."""

    account: str
    plan: str
    suspended: bool


class Snapshot(NamedTuple):
    """What one scrape tells. `sampled` is when the ledger's last sample was taken, in seconds since the epoch, None
    where none was; `unreadable` are accounts without a cgroup that can be read; `seconds` is what the reading took."""

    sold: Sequence[Sold]
    measured: Sequence[Measured]
    version: str
    sampled: float | None = None
    unreadable: int = 0
    seconds: float = 0.0


class _Family(NamedTuple):
    """A family of series. `of` returns None where a cgroup has no series."""

    name: str
    kind: str
    unit: str
    meaning: str
    of: Callable[[Measured], float | None]


def _microseconds(field: str) -> Callable[[Measured], float | None]:
    index = Counters._fields.index(field)

    def seconds(each: Measured) -> float | None:
        value = each.counters[index]
        return None if value is None else value / 1e6

    return seconds


def _counted(field: str) -> Callable[[Measured], float | None]:
    index = Counters._fields.index(field)
    return lambda each: each.counters[index]


def _level(field: str) -> Callable[[Measured], float | None]:
    index = Levels._fields.index(field)
    return lambda each: each.levels[index]


def _limit(field: str) -> Callable[[Measured], float | None]:
    index = Limited._fields.index(field)
    return lambda each: each.limits[index]


def _pressures() -> Iterator[_Family]:
    for resource, words in (("cpu", "CPU time"), ("memory", "memory"), ("io", "the disk")):
        for share, who in (("some", "some"), ("full", "all")):
            meaning = f"Time in which {who} of its processes waited for {words}."
            of = _microseconds(f"{resource}_{share}")
            yield _Family(f"{resource}_pressure_{share}_seconds", "counter", "seconds", meaning, of)


_FAMILIES = (
    _Family("cpu_user_seconds", "counter", "seconds", "CPU time in programs.", _microseconds("user")),
    _Family("cpu_system_seconds", "counter", "seconds", "CPU time in the kernel.", _microseconds("system")),
    _Family(
        "cpu_throttled_seconds",
        "counter",
        "seconds",
        "Time in which its threads waited because of cpu.max, added up.",
        _microseconds("throttled"),
    ),
    _Family("frozen_seconds", "counter", "seconds", "Time in the freezer.", _microseconds("frozen")),
    *_pressures(),
    _Family("read_bytes", "counter", "bytes", "Bytes read from the disk of the home.", _counted("read")),
    _Family("written_bytes", "counter", "bytes", "Bytes written to the disk of the home.", _counted("written")),
    _Family("read_operations", "counter", "", "Read operations on the disk of the home.", _counted("read_ops")),
    _Family("write_operations", "counter", "", "Write operations on the disk of the home.", _counted("write_ops")),
    _Family("memory_killed", "counter", "", "Processes that were killed because of memory.max.", _counted("killed")),
    _Family("memory_slowed", "counter", "", "Times that memory.high slowed it down.", _counted("slowed")),
    _Family("processes_refused", "counter", "", "Processes that pids.max refused.", _counted("refused")),
    _Family("memory_bytes", "gauge", "bytes", "Memory, with the cache.", _level("memory")),
    _Family("memory_own_bytes", "gauge", "bytes", "Memory without the cache (anon and shmem).", _level("own")),
    _Family("memory_peak_bytes", "gauge", "bytes", "The most memory since it was made.", _level("peak")),
    _Family("swap_bytes", "gauge", "bytes", "Swap.", _level("swap")),
    _Family("processes", "gauge", "", "Processes and threads.", _level("pids")),
    _Family("memory_limit_bytes", "gauge", "bytes", "memory.max, where there is one.", _limit("memory")),
    _Family("memory_high_bytes", "gauge", "bytes", "memory.high, where there is one.", _limit("memory_high")),
    _Family("swap_limit_bytes", "gauge", "bytes", "memory.swap.max, where there is one.", _limit("swap")),
    _Family("cpu_limit_cores", "gauge", "cores", "cpu.max in cores, where there is one.", _limit("cpu")),
    _Family("processes_limit", "gauge", "", "pids.max, where there is one.", _limit("pids")),
)


def text(snapshot: Snapshot, *, openmetrics: bool) -> str:
    """The snapshot in one of the two formats, with an end of line at the end."""
    lines: list[str] = []
    _add(lines, "account", "info", "", "The plan and the state of an account.", _info(snapshot.sold), openmetrics)
    for prefix in ("", "leaf_"):  # names of their own: a sum over one family counts nothing twice
        rows = [each for each in snapshot.measured if bool(each.leaf) == bool(prefix)]
        named = [(_labels(account=each.account, leaf=each.leaf), each) for each in rows]
        for name, kind, unit, meaning, of in _FAMILIES:
            samples = ((labels, value) for labels, each in named if (value := of(each)) is not None)
            _add(lines, prefix + name, kind, unit, meaning, samples, openmetrics)
    for name, unit, meaning, value in _of_host(snapshot):
        _add(lines, name, "gauge", unit, meaning, [("", value)], openmetrics)
    build = [(_labels(version=snapshot.version), 1)]
    _add(lines, "build", "info", "", "The version of paas-isolate.", build, openmetrics)
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


def _info(sold: Iterable[Sold]) -> Iterator[tuple[str, float]]:
    for account, plan, suspended in sold:
        yield _labels(account=account, plan=plan, state="suspended" if suspended else "ok"), 1


def _of_host(snapshot: Snapshot) -> Iterator[tuple[str, str, str, float]]:
    yield "accounts", "", "Accounts that are configured.", len(snapshot.sold)
    yield "unreadable_accounts", "", "Accounts whose cgroup is missing or cannot be read.", snapshot.unreadable
    yield "scrape_duration_seconds", "seconds", "What the reading of these values took.", snapshot.seconds
    if snapshot.sampled is not None:
        yield "last_sample_timestamp_seconds", "seconds", "When the ledger's last sample was taken.", snapshot.sampled


_SUFFIXES = {"counter": "_total", "info": "_info", "gauge": ""}


def _add(
    lines: list[str],
    name: str,
    kind: str,
    unit: str,
    meaning: str,
    samples: Iterable[tuple[str, float]],
    openmetrics: bool,
) -> None:
    """A family, unless it has no series."""
    full = f"{PREFIX}{name}{_SUFFIXES[kind]}"
    values = [f"{full}{labels} {value}" for labels, value in samples]
    if not values:
        return
    family = f"{PREFIX}{name}" if openmetrics else full
    if openmetrics and unit:
        lines.append(f"# UNIT {family} {unit}")
    kind = "gauge" if kind == "info" and not openmetrics else kind
    lines += [f"# TYPE {family} {kind}", f"# HELP {family} {meaning}", *values]


def _labels(**labels: str) -> str:
    """`{account="alice",leaf="web"}`. A label that is '' is left out, as that is the same to Prometheus."""
    pairs = [f'{name}="{_value(value)}"' for name, value in labels.items() if value]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _value(label: str) -> str:
    return escaped(label).replace("\\", r"\\").replace('"', r"\"")
