"""The connections of tokens of the interface.

Each request brings the token, and a login helper for each would cost a Python: a connection is kept for FRESH seconds.
A token that was revoked is worth nothing after that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import NamedTuple

from paas_isolate.web.link import Link

FRESH = 60.0
"""Seconds."""
MOST = 256
"""Tokens at once."""
_GRACE = 90.0
"""Seconds until an old connection is closed: longer than an answer takes (control/table.py, `patience`)."""


class FullError(Exception):
    """As many tokens are used at once as may be."""


class _Opened(NamedTuple):
    until: float
    link: "asyncio.Task[Link]"


class TokenLinks:
    """`clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._opened: dict[bytes, _Opened] = {}
        self._old: list[tuple[float, Link]] = []

    async def find(self, token: str, open_link: Callable[[], Awaitable[Link]]) -> Link:
        """The token's connection, or a new one. Who asks at the same time waits for the same. What `open_link` raises
        is raised; FullError."""
        await self.end_old()
        key = sha256(token.encode(errors="replace")).digest()
        if (opened := self._opened.get(key)) is None:
            if len(self._opened) >= MOST:
                raise FullError
            opened = _Opened(self._clock() + FRESH, asyncio.ensure_future(_open(open_link)))
            self._opened[key] = opened
        try:
            return await asyncio.shield(opened.link)
        except BaseException:
            if opened.link.done() and self._opened.get(key) is opened:
                del self._opened[key]
            raise

    def forget(self, link: Link) -> None:
        """It is closed: the next request opens another."""
        for key, opened in list(self._opened.items()):
            if opened.link.done() and not opened.link.exception() and opened.link.result() is link:
                del self._opened[key]

    async def end_old(self) -> None:
        """Who is not fresh gets no further request, and is closed when those that were made have their answers."""
        now = self._clock()
        for key, opened in list(self._opened.items()):
            if now > opened.until and opened.link.done():
                del self._opened[key]
                if not opened.link.exception():
                    self._old.append((now + _GRACE, opened.link.result()))
        over = [link for until, link in self._old if now > until]
        self._old = [each for each in self._old if now <= each[0]]
        for link in over:
            await link.close()

    async def end_all(self) -> None:
        for _, opened in self._opened.items():
            opened.link.cancel()
            if opened.link.done() and not opened.link.cancelled() and not opened.link.exception():
                await opened.link.result().close()
        for _, link in self._old:
            await link.close()
        self._opened, self._old = {}, []


async def _open(open_link: Callable[[], Awaitable[Link]]) -> Link:
    return await open_link()
