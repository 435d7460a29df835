"""What holds for each request and each answer, whatever page they are for.

Of a request: the host's name, the path's characters, the size of the body and how fast it comes. Of an answer: the
headers that tell browsers what they may do with it.
"""

import asyncio
import re
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from paas_isolate.spec.names import SIZE_CAP

BODY_CAP = 300 * 1024
"""Bytes: a specification (256 KiB) as it is, or a form."""
FORM_CAP = 6 * SIZE_CAP + 16 * 1024
"""Bytes of a form with a specification, for pages that say so: browsers send CR LF for the end of a line, and three
bytes for each that is no letter or digit (HTML, 4.10.21.7)."""
HEADERS_CAP = 16 * 1024
"""Bytes of all headers. The bound of uvicorn is for headers that come in pieces."""
BODY_PATIENCE = 30.0
"""Seconds within which a body must be here."""
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not `no-referrer`: our own forms would come with `Origin: null` (Fetch, "append a request Origin header").
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_BODY = "paas_isolate.body"
"""Where the request's `_Body` is in its scope."""
_CLOSE = {"connection": "close"}
"""Else the rest of the body would be waited for."""
_HOST = re.compile(r"([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
_PATH = re.compile(r"/[^\x00-\x20\x7f\\]*")


class Guard:
    """`hosts` are the names that browsers may call this machine by; empty: all. A page of another name, whose address
    was changed to ours (DNS rebinding), is not answered."""

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app, self._hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # uvicorn closes a websocket that is not accepted
        sending = _Sending(send)
        if wrong := self._wrong(scope):
            await _refuse(sending, *wrong)
            return
        scope[_BODY] = body = _Body(receive, int(Headers(scope=scope).get("content-length", "0")[:20]))
        await self._app(scope, body, sending)

    def _wrong(self, scope: Scope) -> tuple[int, str] | None:
        values: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            values.setdefault(name, []).append(value)
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size + len(scope["path"]) + len(scope["query_string"]) > HEADERS_CAP:
            return 431, "The headers are too long."
        found = _HOST.fullmatch(b",".join(values.get(b"host", [])).decode("latin-1"))
        if not found:
            return 400, "The request has no host."
        if self._hosts and found[1].lower() not in self._hosts:
            return 421, "This machine has another name (--name)."
        path: str = scope["path"]
        if not _PATH.fullmatch(path) or ".." in path.split("/") or "//" in path:
            return 404, "There is no such page."
        length = b",".join(values.get(b"content-length", [b"0"]))
        if not length.isdigit() or int(length[:20]) > FORM_CAP:
            return 413, f"A body may have {BODY_CAP} bytes."
        return None


def allow_form(request: Request) -> None:
    """Let the body have FORM_CAP bytes, before it is read. For who may send a file alone."""
    if (body := request.scope.get(_BODY)) is not None:
        body.cap = FORM_CAP


class _Body:
    """`receive`, for a body that is not too large and comes in time; else starlette's HTTPException. `length` is how
    long the request says that it is, 0 where it does not say."""

    def __init__(self, receive: Receive, length: int) -> None:
        self._receive, self._length = receive, length
        self.cap = BODY_CAP
        self._size, self._is_here = 0, False
        self._deadline = asyncio.get_running_loop().time() + BODY_PATIENCE

    async def __call__(self) -> Message:
        if self._is_here:
            return await self._receive()
        if self._length > self.cap:
            raise self._too_large()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, "The body came too slowly.", _CLOSE) from None
        self._size += len(message.get("body", b""))
        self._is_here = not message.get("more_body", False)
        if self._size > self.cap:
            raise self._too_large()
        return message

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"A body may have {self.cap} bytes.", _CLOSE)


class _Sending:
    """`send`, with the headers that each answer has; an answer may have its own."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


async def _refuse(send: Send, status: int, words: str) -> None:
    """Without a template: nothing of the request is in it. The rest of the body is not read."""
    text = words.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
