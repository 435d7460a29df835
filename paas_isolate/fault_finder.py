"""Finds faults: at a sample from what counters grew by, and between samples in accounts that an event names.

What was counted already is `seen`; it is written together with the faults, so none is written twice. Only cgroups that
ever hit a limit have such a row.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.fault_files import FaultFiles
from paas_isolate.linux.quota.calls import DiskQuotas
from paas_isolate.metering import detection
from paas_isolate.metering.detection import Events
from paas_isolate.metering.faults import KNOBS, Fault, Kind, Level
from paas_isolate.metering.reading import Number, Reading, cpu_of, cpu_time, pressure
from paas_isolate.metering.tally import Base, Moment
from paas_isolate.metering.use import GAP
from paas_isolate.model.account import Account
from paas_isolate.model.metering import FaultSettings
from paas_isolate.model.quota import BLOCK, QuotaUsage

_NONE = Events()
WRITTEN_AGAIN = 60_000
"""Milliseconds: a fault like one that was just written is written so much later, together with others like it."""
_Key = tuple[Kind, Level, str, str, str, str]
_UNREAD = (None, None, None)
_REASON = 70_000
"""Milliseconds: a kill is found so much later than its reason, at the most."""
_DISK_AGAIN = 240_000
"""Milliseconds after which a disk that is still full is a fault again: less than JOINED."""


class FaultFinder:
    """`users` is the directory of the accounts' cgroups, `seen` are the events in the ledger, `base_of` returns
    the reading up to which a cgroup is counted, `account_of` the account of a directory (None: no file names it)."""

    def __init__(
        self,
        users: str,
        settings: FaultSettings,
        seen: Mapping[str, Events],
        base_of: Callable[[str], Base | None],
    ) -> None:
        self._files, self._settings = FaultFiles(users), settings
        self._seen = dict(seen)
        self._base_of = base_of
        self.account_of: Callable[[str], Account | None] = lambda _: None
        self._undecided: set[str] = set()
        """Accounts that reached memory.high between two samples: the next one knows whether that slowed them."""
        self._cpu: tuple[int, Number, Number] | None = None
        """Of all accounts together: when, CPU time, time throttled."""
        self._waited: dict[str, tuple[int, int]] = {}
        """By account: when, and `full` IO pressure until then, in microseconds."""
        self._ooms: dict[str, int] = {}
        """By cgroup: when its limit last had a process killed."""
        self._full: dict[str, int] = {}
        """By account: when its disk was last found full."""
        self._quotas = DiskQuotas()
        self._faults: dict[_Key, Fault] = {}
        """Those that are not written yet."""
        self._untold: list[Fault] = []
        self._written: dict[_Key, int] = {}
        """When faults were written last."""
        self._latest = 0
        self._urgent = False
        self._changed: set[str] = set()

    def sample(self, now: Moment, before: Moment | None, readings: Sequence[Reading], gone: Iterable[str]) -> None:
        """Find the faults until `now`. Call it before the tally takes the readings; `before` is the sample before."""
        self.forget(gone)
        asked = set(self._undecided)
        self._undecided.clear()
        for reading in readings:
            base = self._base_of(reading.path)
            if base is not None and base.inode != reading.inode:
                self.forget((reading.path,))
                base = None
            if self._has_news(reading):
                asked.add(reading.path.partition("/")[0])
            if base is not None and before is not None:
                self._throttled(reading, base, now, max(before.at, base.at) if now.at - before.at <= GAP else before.at)
                if "/" not in reading.path and reading.counters.io_full is not None:
                    self._waited_since(reading, base, now)
            if "/" not in reading.path and reading.counters.io_full is not None:
                self._disk(reading.path, now)
        self._all_throttled(now)
        self.look(now, before, sorted(asked - {""}), at_sample=True)

    def look(self, now: Moment, before: Moment | None, directories: Iterable[str], *, at_sample: bool = False) -> None:
        """Find the faults of these accounts, and of all together, that the events of their cgroups tell of."""
        read = {directory: self._files.events(directory) for directory in directories}
        # The kernel counts the reason before the kill, so who may be the reason is read after who may be the victim.
        everybody = self._files.events("")
        more = self._grown(everybody, known=False).get("", _NONE)
        self._tell(now, {"": more}, everybody, at_sample=at_sample)
        measured = before is not None and now.at - before.at <= GAP
        for events in read.values():
            more_of = self._grown(events, known=measured) | {"": Events(ooms=more.ooms)}
            self._tell(now, more_of, events, at_sample=at_sample)

    def waiting(self, now: Moment, directory: str) -> None:
        """The kernel says that all work of an account has just waited for IO longer than the settings allow."""
        total = pressure(self._files.read(directory, "io.pressure"))[1]
        if total is not None:
            base = self._base_of(directory)
            _, was = self._waited.get(directory, (0, base.counters.io_full if base else None))
            self._waited[directory] = now.at, total
            if was is not None and total > was:
                self._add_waited(now, directory, total - was)

    def untold(self) -> list[Fault]:
        """The faults that were found since the last call."""
        untold, self._untold = self._untold, []
        return untold

    @property
    def is_urgent(self) -> bool:
        """Whether a fault is not written that is not just one more of those of the last minute."""
        return self._urgent

    def unwritten(self) -> tuple[list[Fault], dict[str, Events | None]]:
        """Faults, those alike as one; and what is seen of the cgroups where that has changed (None: gone). Call `wrote`
        after that."""
        return list(self._faults.values()), {path: self._seen.get(path) for path in self._changed}

    def wrote(self) -> None:
        self._written = {key: at for key, at in self._written.items() if self._latest - at < WRITTEN_AGAIN} | {
            key: fault.at for key, fault in self._faults.items()
        }
        self._faults = {}
        self._changed.clear()
        self._urgent = False

    def forget(self, paths: Iterable[str]) -> None:
        """These cgroups are gone."""
        for path in paths:
            if self._seen.pop(path, None) is not None:
                self._changed.add(path)
            self._waited.pop(path, None)
            self._full.pop(path, None)
            self._ooms.pop(path, None)

    def _see(self, path: str, events: Events) -> None:
        if events != self._seen.get(path, None if not path else _NONE):
            self._seen[path] = events
            self._changed.add(path)

    def _has_news(self, reading: Reading) -> bool:
        """Whether the files that are read once a minute count something that is not seen."""
        counters = reading.counters
        killed, slowed, refused = counted = counters.killed, counters.slowed, counters.refused
        if counted == _UNREAD:
            return False
        if refused is None and not self._files.by_limit:
            return "/" in reading.path  # the sampler does not read pids.events, which older kernels have
        seen = self._seen.get(reading.path, _NONE)
        return (killed or 0, slowed or 0, refused or 0) != (seen.killed, seen.slowed, seen.refused)

    def _grown(self, events: Mapping[str, Events], *, known: bool) -> dict[str, Events]:
        """What the events have grown by. Those of a cgroup that nobody has counted before are all new where it was
        made since the last sample (`known`: all that were there then are known); else they may be years old."""
        more = {}
        for path, event in events.items():
            seen = self._seen.get(path)
            if seen is None and (known or self._base_of(path) is not None):
                seen = _NONE
            more[path] = detection.grown(seen, event) if seen is not None else _NONE
        return more

    def _tell(self, now: Moment, more: Mapping[str, Events], events: Mapping[str, Events], *, at_sample: bool) -> None:
        refused = [path for path, each in more.items() if each.refused]
        full = self._files.full(refused) if refused and not self._files.by_limit else None
        undecided: dict[str, int] = {}
        self._ooms |= {path: now.at for path, each in more.items() if each.ooms}
        reasons = {path for path, at in self._ooms.items() if now.at - at <= _REASON} if self._ooms else ()
        for found in detection.found(more, full, reasons):
            directory, _, leaf = found.path.partition("/")
            if found.kind is Kind.SLOWED and not detection.stalls(self._files.read(found.path, "memory.pressure")):
                if not at_sample:  # the averages are up to two seconds old: the next sample decides
                    undecided[found.path] = found.number
                    self._undecided.add(directory)
                continue
            limit = "" if found.limited is None else self._files.text(found.limited, KNOBS[found.kind])
            self._add(now, found.kind, found.level, directory, leaf, found.number, None, limit)
        for path, event in events.items():
            self._see(path, event._replace(slowed=event.slowed - undecided.get(path, 0)))

    def _throttled(self, reading: Reading, base: Base, now: Moment, since: int) -> None:
        throttled = _more(base.counters.throttled, reading.counters.throttled)
        elapsed = now.at - since
        if detection.is_long_throttled(throttled, elapsed, self._settings):
            user = _more(base.counters.user, reading.counters.user)
            system = _more(base.counters.system, reading.counters.system)
            self._add_throttled(now, reading.path, throttled, cpu_time(user, system), elapsed)

    def _all_throttled(self, now: Moment) -> None:
        user, system, throttled = cpu_of(self._files.read("", "cpu.stat") or b"")
        used = cpu_time(user, system)
        if self._cpu is not None:
            at, was_used, was_throttled = self._cpu
            more = _more(was_throttled, throttled)
            if detection.is_long_throttled(more, now.at - at, self._settings):
                self._add_throttled(now, "", more, _more(was_used, used), now.at - at)
        self._cpu = now.at, used, throttled

    def _add_throttled(self, now: Moment, path: str, throttled: Number, used: Number, elapsed: int) -> None:
        limit = self._files.text(path, "cpu.max")
        if detection.is_at_limit(used, elapsed, limit, self._settings):
            directory, _, leaf = path.partition("/")
            self._add(now, Kind.THROTTLED, detection.level_of(path), directory, leaf, 1, throttled, limit)

    def _waited_since(self, reading: Reading, base: Base, now: Moment) -> None:
        at, was = self._waited.get(reading.path, (base.at, base.counters.io_full))
        more = _more(was, reading.counters.io_full)
        if reading.counters.io_full is not None:
            self._waited[reading.path] = now.at, reading.counters.io_full
        if more is not None and detection.is_long_waited(more, now.at - at, self._settings):
            self._add_waited(now, reading.path, more)

    def _add_waited(self, now: Moment, directory: str, waited: int) -> None:
        """The leaf is the one that waits most; the limit is the lowest above it that is set."""
        waiting = {
            path: max(detection.averages(self._files.read(path, "io.pressure"), b"full"))
            for path in self._files.leaves(directory)
        }
        leaf = max(waiting, key=lambda path: waiting[path], default=directory)
        path = leaf if waiting.get(leaf) else directory
        limits = {each: self._files.text(each, "io.max") for each in detection.lineage(path)}
        limited = next((each for each, limit in limits.items() if limit), None)
        level = Level.MACHINE if limited is None else detection.level_of(limited)
        limit = limits[limited] if limited is not None else ""
        self._add(now, Kind.WAITED, level, directory, path.partition("/")[2], 1, waited, limit)

    def _disk(self, directory: str, now: Moment) -> None:
        account = self.account_of(directory)
        if account is None or not account.home:
            return
        for uid in account.uids.values():
            with suppress(HostError, OSError):  # its file system keeps no quotas
                usage = self._quotas.usage(account.home, uid)
                if not detection.is_full(usage):
                    self._full.pop(directory, None)
                elif now.at - self._full.get(directory, -_DISK_AGAIN) >= _DISK_AGAIN:
                    self._full[directory] = now.at
                    self._add(now, Kind.DISK, Level.ACCOUNT, directory, "", 1, usage.space, _quota(usage))

    def _add(
        self, now: Moment, kind: Kind, level: Level, directory: str, leaf: str, number: int, amount: Number, limit: str
    ) -> None:
        account = self.account_of(directory)
        plan = (account.plan or "") if account else ""
        fault = Fault(kind, level, directory, leaf, plan, now.at, now.wall, number, amount, limit)
        self._untold.append(fault)
        key = (kind, level, directory, leaf, plan, limit)
        self._latest = now.at
        self._urgent |= now.at - self._written.get(key, -WRITTEN_AGAIN) >= WRITTEN_AGAIN
        if (earlier := self._faults.get(key)) is not None:
            together = None if amount is None else amount + (earlier.amount or 0)
            fault = fault._replace(number=number + earlier.number, amount=amount if kind is Kind.DISK else together)
        self._faults[key] = fault


def _more(was: Number, now: Number) -> Number:
    return None if was is None or now is None or now < was else now - was


def _quota(usage: QuotaUsage) -> str:
    allowed = usage.allowed
    full = allowed.blocks and usage.space + BLOCK > allowed.blocks * BLOCK
    return str(allowed.blocks * BLOCK) if full or not allowed.files else f"{allowed.files} files"
