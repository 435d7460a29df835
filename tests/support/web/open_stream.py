"""A stream of events of an application, without a network."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp


class OpenStream:
    """A client that reads what comes, unless it `is_slow`. `status` is None until the answer begins."""

    def __init__(self, app: ASGIApp, login: str, path: str = "/v1/events", **headers: str) -> None:
        fields = {
            "authorization": f"Bearer {login}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        path, _, query = path.partition("?")
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.received = b""
        self.is_slow = False
        self._more = asyncio.Event()
        self._gone = asyncio.Event()
        self._asked = False
        self.task = asyncio.ensure_future(app(self._scope, self._receive, self._send))

    async def until(self, words: bytes) -> bytes:
        """What has come, when these words are in it. TimeoutError after five seconds."""
        async with asyncio.timeout(5):
            while words not in self.received:
                self._more.clear()
                await self._more.wait()
        return self.received

    async def leave(self) -> None:
        """The client goes; the application ends the stream."""
        self._gone.set()
        await asyncio.wait_for(self.task, 5)

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if self.is_slow:
            await self._gone.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        self.received += message.get("body", b"")
        self._more.set()
