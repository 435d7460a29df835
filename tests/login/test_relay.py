"""The relay copies bytes both ways, holds little, and ends when either side ends."""

import socket
import threading
from collections.abc import Iterator

import pytest

from paas_isolate.login import relay

Ends = tuple[socket.socket, socket.socket, threading.Thread]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The web's end, the daemon's end, and the thread that copies between them."""
    web, near = socket.socketpair()
    far, daemon = socket.socketpair()
    copying = threading.Thread(target=_copy, args=(near, far))
    copying.start()
    for each in (web, daemon):
        each.settimeout(10)
    yield web, daemon, copying
    for each in (web, daemon):
        each.close()
    copying.join(10)
    near.close()
    far.close()
    assert not copying.is_alive()


def _copy(near: socket.socket, far: socket.socket) -> None:
    try:
        relay.copy(near, far)
    except OSError:
        return


def whole(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += end.recv(size)
    return data


def test_bytes_go_both_ways_at_once(ends: Ends) -> None:
    web, daemon, _ = ends
    data = bytes(range(256)) * 4096
    senders = [threading.Thread(target=each.sendall, args=(data,)) for each in (web, daemon)]
    for each in senders:
        each.start()
    halves: list[bytes] = []
    reader = threading.Thread(target=lambda: halves.append(whole(web, len(data))))
    reader.start()
    assert whole(daemon, len(data)) == data
    reader.join(10)
    assert halves == [data]
    for each in senders:
        each.join(10)


def test_the_end_of_questions_leaves_time_for_answers(ends: Ends) -> None:
    web, daemon, copying = ends
    web.sendall(b"question")
    web.shutdown(socket.SHUT_WR)
    assert daemon.recv(100) == b"question"
    assert daemon.recv(100) == b""
    daemon.sendall(b"answer")
    daemon.close()
    assert web.recv(100) == b"answer"
    copying.join(10)
    assert not copying.is_alive()


@pytest.mark.parametrize("who", [0, 1])
def test_it_ends_when_a_side_is_gone(ends: Ends, who: int) -> None:
    ends[who].close()  # type: ignore[union-attr]
    ends[2].join(10)
    assert not ends[2].is_alive()


def test_who_does_not_read_is_not_held_for(ends: Ends) -> None:
    web, daemon, _ = ends
    daemon.settimeout(1)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 100_000_000:
            sent += daemon.send(bytes(65536))
    assert sent < 3_000_000
    daemon.settimeout(10)
    whole(web, sent)
