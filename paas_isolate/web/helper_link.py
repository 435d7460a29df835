"""The connection of one login, over the socket of the login helper.

The first line is of who logs in; the helper answers, connects to the daemon, and copies bytes from then on. The
connection is kept: each request has an id, and answers come in any order (control/request.py).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from paas_isolate.control.logins import SOCKET
from paas_isolate.control.table import BY_NAME
from paas_isolate.exits import Exit
from paas_isolate.web.fan_out import FanOut
from paas_isolate.web.link import AskError, LinkClosedError
from paas_isolate.web.site import Password, Token, TooOftenError, WrongError

LONGEST = 2 << 20
"""Bytes of an answer."""
_FIRST = 4096
"""Bytes of the line of a login."""
_LOGIN_PATIENCE = 30.0
"""Seconds for a login: PAM waits some where a password was wrong."""
_MARGIN = 5.0
"""Seconds beyond what the daemon allows itself for an answer."""


class OpenHelperLink:
    """Logs in through the helper that listens at `path`."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path

    async def __call__(self, credentials: Password | Token, address: str) -> tuple[str, "HelperLink"]:
        """As OpenLink. TooOftenError where the helper says that."""
        line = json.dumps({**credentials._asdict(), "from": address}).encode() + b"\n"
        if len(line) > _FIRST:
            raise WrongError("The user or the password is wrong.")
        try:
            async with asyncio.timeout(_LOGIN_PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=LONGEST)
                try:
                    writer.write(line)
                    return _user_of(await _line(reader)), HelperLink(reader, writer)
                except BaseException:
                    writer.close()
                    raise
        except (OSError, TimeoutError) as error:
            raise LinkClosedError from error


def _user_of(answer: Mapping[str, Any]) -> str:
    if told := answer.get("told"):
        return str(told["user"])
    if answer.get("status") == Exit.BUSY:
        raise TooOftenError
    raise WrongError(str(answer.get("error", "The login was refused.")))


async def _line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """LinkClosedError at the end, and where it is no line of the daemon's."""
    try:
        found = json.loads(await reader.readuntil(b"\n"))
    except (OSError, ValueError, RecursionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise LinkClosedError from error
    if not isinstance(found, dict):
        raise LinkClosedError
    return found


class HelperLink:
    """As Link. All listeners of a login share one subscription."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: dict[object, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._fan_out = FanOut()
        self._subscription = 0
        self._subscribing: asyncio.Task[dict[str, Any]] | None = None
        self._reading = asyncio.create_task(self._read())

    @property
    def is_closed(self) -> bool:
        return self._reading.done()

    async def ask(
        self, verb: str, about: str = "", options: Mapping[str, str] | None = None, body: bytes = b""
    ) -> dict[str, Any]:
        if self.is_closed:
            raise LinkClosedError
        self._number += 1
        number = self._number
        if verb == "events":
            self._subscription = number
        request = {"verb": verb, "about": about, "options": dict(options or {}), "id": number}
        if body:
            request["body"] = len(body)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(json.dumps(request).encode() + b"\n" + body)
            async with asyncio.timeout(_patience(verb)):
                await self._writer.drain()
                answer = await answered
        except TimeoutError:
            raise AskError("the daemon does not answer: try again", Exit.BUSY) from None
        except OSError as error:
            raise LinkClosedError from error
        finally:
            del self._waiting[number]
        return _told(answer)

    async def events(self, after: str = "") -> AsyncIterator[dict[str, Any]]:
        """The subscription begins after the first listener's `after`. Others get what has come since: where theirs is
        older, events may be missing. It ends where the listener does not keep up."""
        first = self._subscribing is None
        subscribing = self._subscribing = self._subscribing or asyncio.create_task(self._subscribe(after))
        try:
            told = await asyncio.shield(subscribing)
        except AskError:
            self._subscribing = None
            raise
        queue = self._fan_out.listen()  # and what came since the answer is in `since`
        try:
            since = self._fan_out.since("" if first else after)
            if first:
                since |= {"events": [*told.get("events", ()), *self._fan_out.all()], "missing": told.get("missing")}
            yield since
            while (event := await queue.get()) is not None:
                yield dict(event)
        finally:
            self._fan_out.stop(queue)
        if self.is_closed:
            raise LinkClosedError

    async def _subscribe(self, after: str) -> dict[str, Any]:
        return await self.ask("events", "", {"after": after} if after else {})

    async def close(self) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading

    async def _read(self) -> None:
        """Until the connection ends."""
        try:
            while True:
                line = await _line(self._reader)
                if isinstance(event := line.get("event"), dict):
                    self._fan_out.publish(event)
                    await asyncio.sleep(0)  # lines that are here already are read without a pause: listeners need one
                    continue
                number = line.get("id")
                if number == self._subscription and isinstance(told := line.get("told"), dict):
                    self._fan_out.begin(told)  # before the events that follow it
                if (answered := self._waiting.get(number)) and not answered.done():
                    answered.set_result(line)
        except LinkClosedError:
            pass
        finally:
            for answered in self._waiting.values():
                if not answered.done():
                    answered.set_exception(LinkClosedError())
            self._fan_out.close()
            self._writer.close()


def _patience(verb: str) -> float:
    found = BY_NAME.get(verb)
    return (found.patience if found else 0.0) + _MARGIN


def _told(answer: Mapping[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        complaints, reason = tuple(answer.get("complaints", ())), str(answer.get("reason", ""))
        raise AskError(str(answer["error"]), int(answer.get("status", Exit.ERROR)), complaints, reason)
    told = answer.get("told")
    if not isinstance(told, dict):
        raise LinkClosedError
    return told
