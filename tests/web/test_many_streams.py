"""What open event streams cost."""

import asyncio
import gc
from pathlib import Path

import pytest

from tests.support.web.api_client import app_of
from tests.support.web.control_link import ALICE, FakeDaemon
from tests.support.web.open_stream import OpenStream

STREAMS = 1000


def memory() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.long
def test_a_thousand_streams_take_little_memory() -> None:
    """100 logins with ten streams each; all get an event, and all are gone afterwards."""

    async def test() -> float:
        daemon = FakeDaemon()
        app = app_of(daemon, {f"login-{number}": (ALICE, None) for number in range(100)})
        gc.collect()
        before = memory()
        streams = [OpenStream(app, f"login-{number % 100}") for number in range(STREAMS)]
        for stream in streams:
            await stream.until(b"\nid: ")
        taken = memory() - before
        daemon.hub.publish("killed", "alice", "it was killed")
        for stream in streams:
            await stream.until(b"event: killed")
        for stream in streams:
            await stream.leave()
        assert len(asyncio.all_tasks()) == 1
        return taken / STREAMS

    each = asyncio.run(test())
    assert each < 40_000
