"""Actions and event sources that raise nothing: an error of ours ends neither the daemon nor the work for others."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from paas_isolate.daemon.loop import DaemonActions, EventSource
from paas_isolate.errors import Trouble, trouble
from paas_isolate.linux.events.event import Event, EventKind

_PAUSE = 0.1
"""Seconds: a source that raises at every read must not take all of a core."""

Result = TypeVar("Result")
Tell = Callable[[str, Trouble], None]
"""Reports an unexpected exception, and what raised it."""


class ContainedActions:
    """The actions of the loop. Where one of them raises, a full pass follows, which works on each account alone where
    that is needed. A full pass that raises is tried again when the next one is due."""

    def __init__(self, actions: DaemonActions, tell: Tell) -> None:
        self._actions, self._tell = actions, tell

    def _do(self, what: str, work: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return work()
        except Exception as error:  # noqa: BLE001  (an error of ours ends one action, and is reported)
            self._tell(what, trouble(error))
            return otherwise

    def reconcile_all(self) -> bool:
        return self._do("the full pass", self._actions.reconcile_all, True)

    def grace(self) -> float:
        return self._do("the time to the next full pass", self._actions.grace, 60.0)

    def quick_check(self) -> bool:
        return self._do("the quick check", self._actions.quick_check, False)

    def apply_files(self, places: Collection[str]) -> float | None:
        at_once: float | None = 0.0
        return self._do("a file that was saved", lambda: self._actions.apply_files(places), at_once)

    def repair_knob(self, event: Event) -> bool:
        return self._do("a knob that was written", lambda: self._actions.repair_knob(event), False)

    def note_writer(self, event: Event) -> None:
        self._do("the writer of a knob", lambda: self._actions.note_writer(event), None)

    def repair_network(self, events: Sequence[Event]) -> bool:
        return self._do("the network", lambda: self._actions.repair_network(events), False)

    def move_strays(self, pids: Collection[int]) -> bool:
        return self._do("processes in the wrong cgroup", lambda: self._actions.move_strays(pids), False)

    def until_strays(self) -> float:
        return self._do("the time to look for strays", self._actions.until_strays, 60.0)

    def run_services(self, records: Collection[str]) -> bool:
        return self._do("services", lambda: self._actions.run_services(records), False)

    def until_services(self) -> float:
        return self._do("the time of the next service", self._actions.until_services, 60.0)

    def keep_rcu_warm(self) -> bool:
        return self._do("keeping RCU warm", self._actions.keep_rcu_warm, False)


class ContainedSource:
    """Where a source raises, its event may have been anything: a full pass follows."""

    def __init__(self, source: EventSource, tell: Tell) -> None:
        self._source, self._tell = source, tell

    def fileno(self) -> int:
        return self._source.fileno()

    def read(self) -> Iterator[Event]:
        try:
            yield from self._source.read()
        except Exception as error:  # noqa: BLE001
            self._tell(f"an event of {type(self._source).__name__}", trouble(error))
            time.sleep(_PAUSE)
            yield Event(EventKind.LOST)
