"""Events over HTTP, with the daemon's own hub behind."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from paas_isolate.web import api, event_stream
from tests.support.web.api_client import ApiClient, app_of
from tests.support.web.control_link import FakeDaemon
from tests.support.web.open_stream import OpenStream


def run(test: Callable[[FakeDaemon], Awaitable[None]]) -> None:
    asyncio.run(test(FakeDaemon()))  # type: ignore[arg-type]


def test_an_event_comes_as_it_happens() -> None:
    async def test(daemon: FakeDaemon) -> None:
        stream = OpenStream(app_of(daemon), "alice")
        await stream.until(b"\nid: ")
        daemon.hub.publish("fault", "bob", "another's")
        daemon.hub.publish("fault", "alice", "<script>\r\n\r\ndata: x\u2028")
        received = await stream.until(b"event: fault")
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert b"another" not in received
        *_, fields, end = received.decode().split("\n\n")
        number, kind, data = fields.split("\n")
        assert (kind, end) == ("event: fault", "")
        event = json.loads(data.removeprefix("data: "))
        assert number == f"id: {event['id']}"
        assert event["sentence"].startswith("<script>")
        await stream.leave()

    run(test)


def test_who_comes_back_gets_what_they_missed() -> None:
    async def test(daemon: FakeDaemon) -> None:
        app = app_of(daemon)
        first = OpenStream(app, "alice")
        last = (await first.until(b"\nid: ")).decode().rpartition("id: ")[2].strip()
        await first.leave()
        daemon.hub.publish("fault", "alice", "meanwhile")
        for again in (
            OpenStream(app, "alice", last_event_id=last),
            OpenStream(app, "alice", f"/v1/events?after={last}"),
        ):
            assert b"meanwhile" in await again.until(b"meanwhile")
            assert b"event: missing" not in again.received
            await again.leave()
        lost = OpenStream(app, "alice", last_event_id="00000000.5")
        assert b"event: missing" in await lost.until(b"\nid: ")
        await lost.leave()

    run(test)


def test_silence_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "PAUSE", 0.05)

    async def test(daemon: FakeDaemon) -> None:
        stream = OpenStream(app_of(daemon), "alice")
        await stream.until(b": keep-alive\n\n: keep-alive\n\n")
        daemon.hub.publish("fault", "alice", "after the silence")
        await stream.until(b"after the silence")
        await stream.leave()

    run(test)


def test_streams_are_bounded_and_end() -> None:
    async def test(daemon: FakeDaemon) -> None:
        app = app_of(daemon)
        streams = [OpenStream(app, "alice") for _ in range(api.STREAMS_EACH + 1)]
        for stream in streams[:-1]:
            await stream.until(b"\nid: ")
        await asyncio.wait_for(streams[-1].task, 5)
        assert streams[-1].status == 429
        for stream in streams[:-1]:
            await stream.leave()
        again = OpenStream(app, "alice")
        await again.until(b"\nid: ")
        await again.leave()
        assert len(asyncio.all_tasks()) == 1

    run(test)


def test_a_client_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "_PATIENCE", 0.05)

    async def test(daemon: FakeDaemon) -> None:
        stream = OpenStream(app_of(daemon), "alice")
        await stream.until(b"\nid: ")
        stream.is_slow = True
        daemon.hub.publish("fault", "alice", "not read")
        await asyncio.wait_for(stream.task, 5)

    run(test)


@pytest.mark.parametrize(
    ("login", "headers", "status"),
    [("nobody", {}, 403), ("alice", {"Last-Event-ID": "x"}, 400), ("", {}, 401)],
)
def test_a_stream_that_cannot_begin_is_a_problem(login: str, headers: dict[str, str], status: int) -> None:
    answer = ApiClient(FakeDaemon(), login).get("/v1/events", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
