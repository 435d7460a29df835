"""Connections of browsers, whose beginning uvicorn does not bound: slow headers, and many of one address."""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_PATIENCE = 15.0
"""Seconds within which the headers of a request must be here."""
OF_ADDRESS = 100
"""Connections of one address at once; behind a proxy all have none."""
_OPEN: Counter[str] = Counter()


class Connection(H11Protocol):
    """uvicorn ends a connection that is idle between requests; this ends one on which a request does not get on."""

    _watch: asyncio.TimerHandle | None = None
    _address = ""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        _OPEN[self._address] += 1
        if self._address and _OPEN[self._address] > OF_ADDRESS:
            transport.close()
        self._begin()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._has_request:
            self._stop()
        elif self._watch is None:
            self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        _OPEN[self._address] -= 1
        if not _OPEN[self._address]:
            del _OPEN[self._address]
        super().connection_lost(exc)

    @property
    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _begin(self) -> None:
        self._watch = self.loop.call_later(HEADERS_PATIENCE, self._end)

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _end(self) -> None:
        self._watch = None
        if not self._has_request and not self.transport.is_closing():
            self.transport.close()
