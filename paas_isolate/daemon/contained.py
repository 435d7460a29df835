"""Hands and ears that raise nothing: whatever an event leads to ends neither the daemon nor what others wait for."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from paas_isolate.daemon.loop import DaemonActions, EventSource
from paas_isolate.errors import Trouble, trouble
from paas_isolate.linux.events.event import Event, EventKind

_PAUSE = 0.1
"""Seconds: what is raised at every look at an ear must not take all of a core."""

Result = TypeVar("Result")
Tell = Callable[[str, Trouble], None]
"""Says what nobody expected to be raised, and by what."""


class ContainedActions:
    """The hands of the loop. Where one of them raises, everything is looked at: each account alone, where need be. A
    look at everything that raises is tried again when its time comes."""

    def __init__(self, hands: DaemonActions, tell: Tell) -> None:
        self._hands, self._tell = hands, tell

    def _do(self, what: str, work: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return work()
        except Exception as error:  # noqa: BLE001  (an error of ours ends one piece of work, and is told)
            self._tell(what, trouble(error))
            return otherwise

    def reconcile_all(self) -> bool:
        return self._do("the look at everything", self._hands.reconcile_all, True)

    def grace(self) -> float:
        return self._do("the time to the next look", self._hands.grace, 60.0)

    def quick_check(self) -> bool:
        return self._do("a glance", self._hands.quick_check, False)

    def apply_files(self, places: Collection[str]) -> float | None:
        at_once: float | None = 0.0
        return self._do("a file that was saved", lambda: self._hands.apply_files(places), at_once)

    def repair_knob(self, heard: Event) -> bool:
        return self._do("a knob that was written", lambda: self._hands.repair_knob(heard), False)

    def note_writer(self, heard: Event) -> None:
        self._do("who has written", lambda: self._hands.note_writer(heard), None)

    def repair_network(self, heard: Sequence[Event]) -> bool:
        return self._do("the network", lambda: self._hands.repair_network(heard), False)

    def move_strays(self, pids: Collection[int]) -> bool:
        return self._do("processes elsewhere", lambda: self._hands.move_strays(pids), False)

    def until_strays(self) -> float:
        return self._do("the time of the sweep", self._hands.until_strays, 60.0)

    def run_services(self, records: Collection[str]) -> bool:
        return self._do("services", lambda: self._hands.run_services(records), False)

    def until_services(self) -> float:
        return self._do("the time of services", self._hands.until_services, 60.0)

    def keep_rcu_warm(self) -> bool:
        return self._do("the way of processes", self._hands.keep_rcu_warm, False)


class ContainedSource:
    """What cannot be understood may have been anything: everything is looked at."""

    def __init__(self, ear: EventSource, tell: Tell) -> None:
        self._ear, self._tell = ear, tell

    def fileno(self) -> int:
        return self._ear.fileno()

    def read(self) -> Iterator[Event]:
        try:
            yield from self._ear.read()
        except Exception as error:  # noqa: BLE001
            self._tell(f"what {type(self._ear).__name__} heard", trouble(error))
            time.sleep(_PAUSE)
            yield Event(EventKind.LOST)
