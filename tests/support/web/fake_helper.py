"""A login helper and a daemon behind it, on a Unix socket: a test says what is answered."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Talk = Callable[["Connection"], Awaitable[None]]


class Connection:
    """The helper's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def line(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.reader.readuntil(b"\n"))
        return found

    async def body(self, size: int) -> bytes:
        return await self.reader.readexactly(size)

    async def send(self, *answers: object) -> None:
        for answer in answers:
            self.writer.write(json.dumps(answer).encode() + b"\n")
        await self.writer.drain()


async def with_helper(path: Path, talk: Talk, use: Callable[[], Awaitable[None]]) -> None:
    """Run `use` while each connection gets `talk`; what that raises is raised."""
    talks: list[asyncio.Task[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(task := asyncio.ensure_future(_talk(Connection(reader, writer))))
        try:
            await task
        finally:
            writer.close()

    async def _talk(connection: Connection) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):  # the web process has closed it
            await talk(connection)

    server = await asyncio.start_unix_server(connected, str(path), limit=1 << 22)
    try:
        await use()
    finally:
        server.close()
        await asyncio.sleep(0)
        for each in talks:
            if each.done():
                each.result()
            else:
                each.cancel()
