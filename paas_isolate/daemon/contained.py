"""Hands and ears that raise nothing: whatever an event leads to ends neither the daemon nor what others wait for."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from paas_isolate.daemon.loop import Ear, Hands
from paas_isolate.errors import Trouble, trouble
from paas_isolate.linux.ears.heard import Heard, Kind

_PAUSE = 0.1
"""Seconds: what is raised at every look at an ear must not take all of a core."""

Result = TypeVar("Result")
Tell = Callable[[str, Trouble], None]
"""Says what nobody expected to be raised, and by what."""


class Contained:
    """The hands of the loop. Where one of them raises, everything is looked at: each account alone, where need be. A
    look at everything that raises is tried again when its time comes."""

    def __init__(self, hands: Hands, tell: Tell) -> None:
        self._hands, self._tell = hands, tell

    def _do(self, what: str, work: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return work()
        except Exception as error:  # noqa: BLE001  (an error of ours ends one piece of work, and is told)
            self._tell(what, trouble(error))
            return otherwise

    def turn(self) -> bool:
        return self._do("the look at everything", self._hands.turn, True)

    def patience(self) -> float:
        return self._do("the time to the next look", self._hands.patience, 60.0)

    def glance(self) -> bool:
        return self._do("a glance", self._hands.glance, False)

    def edit(self, places: Collection[str]) -> float | None:
        at_once: float | None = 0.0
        return self._do("a file that was saved", lambda: self._hands.edit(places), at_once)

    def mend(self, heard: Heard) -> bool:
        return self._do("a knob that was written", lambda: self._hands.mend(heard), False)

    def note(self, heard: Heard) -> None:
        self._do("who has written", lambda: self._hands.note(heard), None)

    def rewire(self, heard: Sequence[Heard]) -> bool:
        return self._do("the network", lambda: self._hands.rewire(heard), False)

    def sweep(self, pids: Collection[int]) -> bool:
        return self._do("processes elsewhere", lambda: self._hands.sweep(pids), False)

    def until_swept(self) -> float:
        return self._do("the time of the sweep", self._hands.until_swept, 60.0)

    def serve(self, records: Collection[str]) -> bool:
        return self._do("services", lambda: self._hands.serve(records), False)

    def until_served(self) -> float:
        return self._do("the time of services", self._hands.until_served, 60.0)

    def warm(self) -> bool:
        return self._do("the way of processes", self._hands.warm, False)


class ContainedEar:
    """What cannot be understood may have been anything: everything is looked at."""

    def __init__(self, ear: Ear, tell: Tell) -> None:
        self._ear, self._tell = ear, tell

    def fileno(self) -> int:
        return self._ear.fileno()

    def heard(self) -> Iterator[Heard]:
        try:
            yield from self._ear.heard()
        except Exception as error:  # noqa: BLE001
            self._tell(f"what {type(self._ear).__name__} heard", trouble(error))
            time.sleep(_PAUSE)
            yield Heard(Kind.LOST)
