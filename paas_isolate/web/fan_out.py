"""The events of one subscription, for several listeners. Nothing waits for a listener that does not read."""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

Event = Mapping[str, Any]
UNREAD = 200
"""Events that a listener has not taken: one that is further behind ends, and comes back."""
KEPT = 100
"""Events that are remembered for listeners that come back."""

Queue = asyncio.Queue[Event | None]
"""None is the end."""


class FanOut:
    def __init__(self) -> None:
        self._listeners: list[Queue] = []
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._is_closed = False
        self._before = ""
        """The id of the event before those that are kept."""

    def begin(self, told: Event) -> None:
        """`told` is the daemon's answer to the subscription."""
        self._before = str(told.get("last", ""))

    def listen(self) -> Queue:
        queue: Queue = asyncio.Queue()
        if self._is_closed:
            queue.put_nowait(None)
        self._listeners.append(queue)
        return queue

    def stop(self, queue: Queue) -> None:
        if queue in self._listeners:
            self._listeners.remove(queue)

    def publish(self, event: Event) -> None:
        if len(self._kept) == KEPT:
            self._before = str(self._kept[0].get("id", ""))
        self._kept.append(event)
        for queue in list(self._listeners):
            if queue.qsize() >= UNREAD:
                self._listeners.remove(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    def since(self, after: str) -> dict[str, Any]:
        """As the daemon answers a subscription: the events after this id ('': none), and whether some are missing."""
        ids = [self._before, *(str(event.get("id", "")) for event in self._kept)]
        missing = bool(after) and after not in ids
        first = ids.index(after) if after and not missing else len(self._kept)
        return {"events": list(self._kept)[first:], "last": ids[-1], "missing": missing}

    def all(self) -> list[Event]:
        return list(self._kept)

    def close(self) -> None:
        for queue in self._listeners:
            queue.put_nowait(None)
        self._listeners, self._is_closed = [], True
