"""Events as server-sent events (WHATWG HTML, 9.2)."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from paas_isolate.web.answers import json_bytes
from paas_isolate.web.link import AskError, LinkClosedError

PAUSE = 15.0
"""Seconds of silence after which a comment is sent: proxies close silent connections."""
_PATIENCE = 30.0
"""Seconds within which a client must take what it is sent."""
_KIND = re.compile(r"[a-z-]{1,32}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{1,32}\.[0-9]{1,12}", re.ASCII)


class EventStream(Response):
    """`first` is the daemon's answer, `events` what follows it. The client's end, the link's end and a client that does
    not read end it; `events` is closed then."""

    media_type = "text/event-stream"

    def __init__(self, first: Mapping[str, Any], events: AsyncIterator[dict[str, Any]]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._first, self._events = first, events

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await _send(send, b"".join(_beginning(self._first)))
            await self._follow(send, gone)
            await _send(send, b"", more=False)
        except (TimeoutError, OSError):
            pass  # the client does not read, or has gone
        finally:
            await _end(gone)
            await close(self._events)

    async def _follow(self, send: Send, gone: "asyncio.Future[None]") -> None:
        coming: asyncio.Future[dict[str, Any]] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(self._events))
                either: set[asyncio.Future[Any]] = {coming, gone}
                await asyncio.wait(either, timeout=PAUSE, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                if not coming.done():
                    await _send(send, b": keep-alive\n\n")
                    continue
                event, coming = coming.result(), None
                await _send(send, frame(event))
        except (StopAsyncIteration, AskError, LinkClosedError):
            return
        finally:
            if coming:
                await _end(coming)


def frame(event: Mapping[str, Any]) -> bytes:
    """An event. Only what is ours stands outside the JSON, which has no line break."""
    number, kind = str(event.get("id", "")), str(event.get("kind", ""))
    lines = [b"data: " + json_bytes(event)]
    if _KIND.fullmatch(kind):
        lines.insert(0, f"event: {kind}".encode())
    if _ID.fullmatch(number):
        lines.insert(0, f"id: {number}".encode())
    return b"\n".join(lines) + b"\n\n"


async def close(events: AsyncIterator[dict[str, Any]]) -> None:
    """End a generator that is not read to its end."""
    if aclose := getattr(events, "aclose", None):
        with suppress(LinkClosedError):
            await aclose()


def _beginning(first: Mapping[str, Any]) -> Iterator[bytes]:
    """The client comes back with the id that stands here, if nothing happens before."""
    yield b"retry: 3000\n\n"
    if first.get("missing"):
        yield b"event: missing\ndata: {}\n\n"
    yield from map(frame, first.get("events", ()))
    if _ID.fullmatch(last := str(first.get("last", ""))):
        yield f"id: {last}\n\n".encode()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(_PATIENCE):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _end(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, StopAsyncIteration, LinkClosedError):
        await task
