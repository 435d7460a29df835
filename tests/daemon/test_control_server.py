"""Connections of this process to a ControlServer: time-outs, slow readers, late answers."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from paas_isolate.control.request import Caller, Keep, Narrow
from paas_isolate.control.table import Scope
from paas_isolate.daemon import control_server
from paas_isolate.daemon.control import Final, Later, Outcome, Stream, WantsBody
from paas_isolate.daemon.control_server import ControlServer
from paas_isolate.linux.events.timer import Timer
from paas_isolate.linux.system import control_socket
from tests.support.waiting import wait_for

LARGE = b"y" * 3_000_000 + b"\n"
LATER: list[Callable[[bytes], bool]] = []
STREAMS: list[Callable[[bytes], bool]] = []


def answer(line: bytes, caller: Caller, later: Callable[[bytes], bool]) -> Outcome:
    assert caller[:2] == (os.geteuid(), os.getpid())
    match line.split():
        case [b"narrow"]:
            return caller.narrowed(Narrow(Scope.READ, None, ""))
        case [b"keep"]:
            return Keep()
        case [b"scope"]:
            return f"{caller.scope.name}\n".encode()
        case [b"later"]:
            LATER.append(later)
            return Later(0.3, b"too late\n")
        case [b"at_once"]:
            assert later(b"at once\n")
            return Later(60, b"")
        case [b"stream"]:
            return Stream(b"begun\n", STREAMS.append)
        case [b"body", size]:
            return WantsBody(int(size), lambda body, _: b"<" + body + b">\n", b"busy\n")
        case [b"final"]:
            return Final(b"the end\n")
        case [b"large"]:
            return LARGE
    return b"[" + line + b"]\n"


class QuickTimer(Timer):
    def arm(self, seconds: float) -> None:
        super().arm(seconds / 5)


@pytest.fixture
def reception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlServer]:
    monkeypatch.setattr(control_server, "PATIENCE", 0.3)
    monkeypatch.setattr(control_server, "Timer", QuickTimer)
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
        assert fetched(reception, never) == b"too late\n"
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


def turn(reception: ControlServer, to: socket.socket, size: int) -> bytes:
    """The next `size` bytes that come, while the loop turns."""
    came = b""

    def more() -> bool:
        nonlocal came
        list(reception.read())
        with suppress(BlockingIOError):
            came += to.recv(size - len(came))
        return len(came) == size

    wait_for(more, what=f"{size} bytes come", deadline=10)
    return came


def test_a_kept_connection_is_asked_again(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path, b"keep\none\ntwo\n") as to:
        assert turn(reception, to, 12) == b"[one]\n[two]\n"
        to.send(b"narrow\nscope\n")
        assert turn(reception, to, 5) == b"READ\n"
        to.send(b"later\nthree\nat_once\n")
        assert turn(reception, to, 16) == b"[three]\nat once\n"
        LATER.pop()(b"now\n")
        assert turn(reception, to, 4) == b"now\n"
        to.send(b"final\nfour\n")
        assert fetched(reception, to) == b"the end\n"
    assert not reception._connections


def test_who_has_shut_down_a_kept_connection_gets_what_was_asked(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path, b"keep\nlater\n") as to:
        list(reception.read())
        to.shutdown(socket.SHUT_WR)
        list(reception.read())
        LATER.pop()(b"now\n")
        assert fetched(reception, to) == b"now\n"


def test_a_body_is_no_line(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path, b"keep\nbody 8\none\ntwo\nthree\n") as to:
        assert turn(reception, to, 19) == b"<one\ntwo\n>\n[three]\n"
    with come(tmp_path, b"body 4\n") as to:
        for byte in b"\n{}\n":
            list(reception.read())
            to.send(bytes([byte]))
        assert fetched(reception, to) == b"<\n{}\n>\n"


def test_few_bodies_come_at_once(reception: ControlServer, tmp_path: Path) -> None:
    some = [come(tmp_path, b"keep\nbody 9\n") for _ in range(control_server.BODIES)]
    wait_for(
        lambda: not list(reception.read()) and len(reception._connections) == len(some), what="all wait", deadline=10
    )
    with come(tmp_path, b"body 9\none\ntwo\n") as to:
        assert fetched(reception, to) == b"busy\n"
    for client in some:
        client.close()


def test_lines_come_until_the_client_goes(reception: ControlServer, tmp_path: Path) -> None:
    STREAMS.clear()
    with come(tmp_path, b"stream\n") as to:
        assert turn(reception, to, 6) == b"begun\n"
        assert STREAMS[0](b"event\n")
        assert turn(reception, to, 6) == b"event\n"
    wait_for(lambda: not list(reception.read()) and not reception._connections, what="it has gone", deadline=10)
    assert not STREAMS[0](b"event\n")


def test_who_reads_no_events_is_disconnected(reception: ControlServer, tmp_path: Path) -> None:
    STREAMS.clear()
    with come(tmp_path, b"keep\nstream\n") as to:
        assert turn(reception, to, 6) == b"begun\n"
        sent = 0
        while STREAMS[0](b"x" * 9_999 + b"\n"):
            sent += 1
            assert sent < 1000
        assert not reception._connections


def test_so_many_are_kept(reception: ControlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "KEPT_ALL", 2)
    with come(tmp_path, b"keep\none\n") as one, come(tmp_path, b"keep\ntwo\n") as two:
        assert turn(reception, one, 6) + turn(reception, two, 6) == b"[one]\n[two]\n"
        with come(tmp_path, b"keep\nthree\n") as three:
            assert b"too many connections are kept" in fetched(reception, three)
        with come(tmp_path, b"three\n") as three:
            assert fetched(reception, three) == b"[three]\n"
    wait_for(lambda: not list(reception.read()) and not reception._connections, what="both have gone", deadline=10)
    assert reception._kept_by_uid == reception._by_uid == {}


def test_a_kept_connection_may_rest(reception: ControlServer, tmp_path: Path) -> None:
    with come(tmp_path, b"keep\n") as kept, come(tmp_path) as silent:
        assert fetched(reception, silent) == b""
        kept.send(b"one\n")
        assert turn(reception, kept, 6) == b"[one]\n"
