"""Connections of this process to a ControlServer: time-outs, slow readers, late answers."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas_isolate.daemon import control_server as room
from paas_isolate.daemon.control import Caller, Scope
from paas_isolate.daemon.control_server import ControlServer
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.system import control_socket
from tests.support.waiting import wait_for

LARGE = b"y" * 3_000_000 + b"\n"
LATER: list[Callable[[bytes], None]] = []


def answer(line: bytes, caller: Caller, later: Callable[[bytes], None]) -> bytes | float | Caller:
    assert caller[:2] == (os.geteuid(), os.getpid())
    if line == b"narrow":
        return caller.narrowed(Scope.READ, None)
    if line == b"scope":
        return f"{caller.scope.name}\n".encode()
    if line == b"later":
        LATER.append(later)
        return 0.3
    return LARGE if line == b"large" else b"[" + line + b"]\n"


class QuickTimer(Timer):
    def arm(self, seconds: float) -> None:
        super().arm(seconds / 5)


@pytest.fixture
def reception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlServer]:
    monkeypatch.setattr(room, "PATIENCE", 0.3)
    monkeypatch.setattr(room, "Timer", QuickTimer)
    with control_socket.listening(str(tmp_path)) as listening:
        opened = ControlServer(listening, answer)
        yield opened
        opened.close()


def come(tmp_path: Path, line: bytes = b"") -> socket.socket:
    to = socket.socket(socket.AF_UNIX)
    to.settimeout(0)
    to.connect(str(tmp_path / control_socket.NAME))
    to.sendall(line)
    return to


def fetched(reception: ControlServer, to: socket.socket, *, size: int = 1 << 16, seconds: float = 10) -> bytes:
    """All that is told, while the loop turns; `size` bytes at a time."""
    said, end = b"", time.monotonic() + seconds
    while time.monotonic() < end:
        list(reception.read())
        try:
            more = to.recv(size)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            return said
        if not more:
            return said
        said += more
    raise AssertionError(f"not shown out; told until then: {said[:80]!r}")


def test_lines_that_narrow_come_before_the_request(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path, b"scope\n") as to:
        assert fetched(reception, to) == b"ADMINISTER\n"
    for lines in (b"narrow\nscope\n", b"narrow\nnarrow\nscope\nscope\n"):
        with come(tmp_path, lines) as to:
            assert fetched(reception, to) == b"READ\n"
    with come(tmp_path) as to:
        for byte in b"narrow\nscope\n":
            to.send(bytes([byte]))
            list(reception.read())
        assert fetched(reception, to) == b"READ\n"
    with come(tmp_path, b"narrow\n") as to:
        to.shutdown(socket.SHUT_WR)
        assert fetched(reception, to) == b""


def test_a_line_is_answered_however_it_comes(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path) as to:
        for byte in b"hello\n":
            to.send(bytes([byte]))
            list(reception.read())
        assert fetched(reception, to) == b"[hello]\n"
    with come(tmp_path, b"one\ntwo\n") as to:
        assert fetched(reception, to) == b"[one]\n"
    with come(tmp_path, b"half") as to:
        to.shutdown(socket.SHUT_WR)
        assert fetched(reception, to) == b""


def test_a_large_answer_arrives_whole(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path, b"large\n") as to, come(tmp_path, b"hello\n") as other:
        list(reception.read())
        assert fetched(reception, other) == b"[hello]\n"
        assert fetched(reception, to) == LARGE


def test_silent_clients_are_disconnected(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path, b"half") as silent, come(tmp_path, b"large\n") as deaf:
        assert fetched(reception, silent) == b""
        wait_for(
            lambda: not list(reception.read()) and not reception._connections, what="both are shown out", deadline=10
        )
        assert len(fetched(reception, deaf)) < len(LARGE)


def test_an_answer_may_come_later_or_never(reception: ControlServer, tmp_path: Path) -> None:
    LATER.clear()
    with come(tmp_path, b"later\n") as to, come(tmp_path, b"later\n") as never, come(tmp_path, b"later\n") as gone:
        wait_for(lambda: not list(reception.read()) and len(LATER) == 3, what="all three have asked", deadline=10)
        gone.close()
        list(reception.read())
        LATER[0](b"now\n")
        LATER[0](b"twice\n")
        assert fetched(reception, to) == b"now\n"
        assert json.loads(fetched(reception, never))["status"] == 75
        for late in LATER:
            late(b"too late\n")
        assert not reception._connections


def test_without_connections_there_is_no_timer(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path, b"hello\n") as to:
        fetched(reception, to)
    end = time.monotonic() + 10
    while reception._poll.poll(0.4):
        list(reception.read())
        assert time.monotonic() < end
