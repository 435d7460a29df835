"""The process that answers questions, with commands that do their worst. No daemon is needed."""

import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from paas_isolate.cli import worker as module
from paas_isolate.cli.worker import Worker
from paas_isolate.control.request import answer as line_of
from paas_isolate.daemon.frames import framed, taken
from tests.support.waiting import wait_for


def act(words: list[str], *, for_customer: bool) -> bytes:
    """What a test makes of the program's commands."""
    match words[-1]:
        case "hang":
            time.sleep(60)
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "flood":
            return b"x" * (3 << 20) + b"\n"
        case "read":
            return line_of({"read": os.read(0, 100).decode()})
        case "fork":  # a process that outlives the child
            if not os.fork():
                time.sleep(60)
            time.sleep(60)
    return line_of({"words": words, "for_customer": for_customer})


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The daemon's end of the worker's socket."""
    monkeypatch.setattr(module, "answer", act)
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        try:
            ours.close()
            Worker(theirs, ["--etc", "x"]).run()
        finally:
            os._exit(0)
    theirs.close()
    ours.settimeout(20)
    with ours:
        yield ours
        ours.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0], what="the worker ends with its socket")


def asked(ours: socket.socket, *words: str, seconds: float = 20, body: bytes = b"") -> None:
    for number, word in enumerate(words):
        ours.sendall(framed((number, [word], seconds, True, body)))


def answers(ours: socket.socket, number: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    received = bytearray()
    while len(found) < number:
        more = ours.recv(1 << 16)
        assert more
        received += more
        found |= dict(taken(received))
    return found


def test_the_words_follow_those_of_the_installation(ours: socket.socket) -> None:
    asked(ours, "usage")
    assert answers(ours, 1) == {0: line_of({"words": ["--etc", "x", "usage"], "for_customer": True})}


def test_the_body_is_standard_input(ours: socket.socket) -> None:
    asked(ours, "read", body=b"account: alice\n")
    assert answers(ours, 1) == {0: line_of({"read": "account: alice\n"})}


def test_a_question_that_hangs_is_ended_and_holds_up_no_other(ours: socket.socket) -> None:
    begun = time.monotonic()
    asked(ours, "hang", "fork", seconds=0.5)
    ours.sendall(framed((2, ["usage"], 20, True, b"")))
    assert b"told" in answers(ours, 1)[2]
    late = answers(ours, 2)
    assert all(b"it took too long" in line for line in late.values())
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("word", ["die", "flood"])
def test_a_child_without_an_answer_is_told_of(word: str, ours: socket.socket) -> None:
    asked(ours, word, "usage")
    found = answers(ours, 2)
    assert b"has died" in found[0]
    assert b"told" in found[1]


def test_a_daemon_that_goes_away_ends_all(ours: socket.socket) -> None:
    asked(ours, "hang", "fork")  # the fixture waits for the worker's end
    time.sleep(0.2)
