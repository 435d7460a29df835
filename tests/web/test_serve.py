"""The server itself, on a Unix socket, with clients that do not behave."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import uvicorn

from paas_isolate.errors import HostError
from paas_isolate.listening import Place, place
from paas_isolate.web import connection, guard, serve, setting
from paas_isolate.web.app import app
from paas_isolate.web.guard import Guard
from paas_isolate.web.setting import LOOPBACK, Setting, complaint, hosts
from tests.support.web.fake_link import FakeHelper

pytestmark = pytest.mark.hostile
Say = Callable[..., bytes]
OPEN = b"<still open>"
LINE = b"GET /login HTTP/1.1\r\nHost: localhost\r\n"


@contextmanager
def running(path: Path) -> Iterator[Setting]:
    at = Setting(Place(path=str(path)))
    server = uvicorn.Server(serve._config(Guard(app(FakeHelper(), secure=False), hosts(at)), at))
    with serve._listening(at) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
        thread.start()
        try:
            until = time.monotonic() + 10
            while not server.started:
                assert time.monotonic() < until
                time.sleep(0.01)
            yield at
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def say(tmp_path: Path) -> Iterator[Say]:
    """Send these bytes, and then those, with a pause between; what is answered until the end of the connection, or
    OPEN."""

    def said(*parts: bytes, pause: float = 0.0, seconds: float = 4.0) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(seconds)
            client.connect(str(tmp_path / "socket"))
            found = b""
            with suppress(ConnectionError):
                for part in parts:
                    client.sendall(part)
                    time.sleep(pause)
            with suppress(ConnectionError):
                try:
                    while more := client.recv(65536):
                        found += more
                except TimeoutError:
                    found += OPEN
            return found

    with running(tmp_path / "socket"):
        yield said


def test_an_answer_tells_nothing_of_the_server(say: Say) -> None:
    answer = say(LINE + b"Connection: close\r\n\r\n")
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 200 ok")
    assert b"server:" not in head
    assert b"uvicorn" not in answer.lower()


@pytest.mark.parametrize(
    "request_",
    [
        LINE + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        LINE + b"Cookie: paas-isolate=" + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        LINE + b"\r\n".join(b"A%d: x" % n for n in range(3_000)) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        LINE + b"Host: evil.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500 + b"\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        LINE + b"X\x00: y\r\n\r\n",
        LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\nConnection: close\r\n\r\nzzzzz\r\n\r\n",
    ],
)
def test_requests_that_are_none_are_refused_and_the_next_is_answered(request_: bytes, say: Say) -> None:
    status = say(request_).partition(b"\r\n")[0].split()[1:2]
    assert status in ([], [b"400"], [b"404"], [b"421"], [b"431"])
    assert b"200 OK" in say(LINE + b"Connection: close\r\n\r\n")


def test_headers_that_come_slowly(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEADERS_PATIENCE", 0.3)
    begun = time.monotonic()
    assert say(LINE) == b""
    assert say(*(b"GET /login HTTP/1.1\r\n", *(b"A: b\r\n",) * 10), pause=0.1) == b""
    answer = say(LINE + b"\r\n", *(b"GET /login HTTP/1.1\r\n", *(b"A: b\r\n",) * 10), pause=0.1)
    assert answer.count(b"HTTP/1.1 200") == 1, "the second request of a connection, too"
    assert time.monotonic() - begun < 5


def test_a_body_that_comes_slowly(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_PATIENCE", 0.3)
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    begun = time.monotonic()
    answer = say(head, b"a", b"b", pause=0.1)
    assert b" 408 " in answer
    assert OPEN not in answer
    assert time.monotonic() - begun < 3


def test_a_body_that_is_too_large_is_not_read_to_its_end(say: Say) -> None:
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = say(head + b"".join(b"1000\r\n" + b"a" * 0x1000 + b"\r\n" for _ in range(100)))
    assert b" 413 " in answer
    assert OPEN not in answer


def test_many_connections_of_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "OF_ADDRESS", 3)

    class Transport:
        closed = False

        def close(self) -> None:
            self.closed = True

        def is_closing(self) -> bool:
            return self.closed

        def get_extra_info(self, name: str, default: object = None) -> object:
            return ("192.0.2.9", 1234) if name == "peername" else default

    async def connect() -> list[bool]:
        config = serve._config(app(FakeHelper(), secure=False), Setting(Place("127.0.0.1", 1)))
        made = []
        for _ in range(5):
            each, transport = connection.Connection(config, uvicorn.server.ServerState(), {}), Transport()
            each.connection_made(transport)
            made.append((each, transport))
        closed = [transport.closed for _, transport in made]
        for each, _ in made:
            each.connection_lost(None)
        return closed

    assert asyncio.run(connect()) == [False, False, False, True, True]
    assert not connection._OPEN


def test_the_socket_is_our_users_alone_and_replaces_one_that_was_left(tmp_path: Path) -> None:
    for _ in range(2):
        with serve._listening(Setting(Place(path=str(tmp_path / "socket")))):
            assert (tmp_path / "socket").stat().st_mode & 0o777 == 0o600
    with pytest.raises(HostError, match="there is no group"):
        serve._listening(Setting(Place(path=str(tmp_path / "socket")), group="no-such-group"))
    with pytest.raises(HostError, match="cannot be used"):
        serve._listening(Setting(Place(path=str(tmp_path / "no" / "socket"))))


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no certificate")
    file = str(tmp_path / "file")
    with pytest.raises(HostError, match="the certificate cannot be used"):
        serve._config(app(FakeHelper(), secure=True), Setting(Place("127.0.0.1", 1), certificate=file, key=file))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:8421", Place("127.0.0.1", 8421)),
        ("[::1]:8421", Place("::1", 8421)),
        ("0.0.0.0:443", Place("0.0.0.0", 443)),
        ("unix:/run/x/web.sock", Place(path="/run/x/web.sock")),
    ],
)
def test_places(text: str, found: Place) -> None:
    assert place(text) == found


@pytest.mark.parametrize("text", ["", "8421", "localhost:8421", "::1:8421", "[127.0.0.1]:1", "1.2.3.4:65536", "unix:x"])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(ValueError, match=r"127.0.0.1:PORT"):
        place(text)


def test_options_that_do_not_go_together() -> None:
    here, all_, path = Place("127.0.0.1", 1), Place("0.0.0.0", 1), Place(path="/x")
    for wrong, words in (
        (Setting(all_), "in the clear"),
        (Setting(here, certificate="a"), "go together"),
        (Setting(here, behind_proxy=True), "--behind-proxy needs"),
        (Setting(here, group="a"), "--group goes with"),
    ):
        assert words in complaint(wrong)
    for right in (Setting(here), Setting(all_, certificate="a", key="b"), Setting(path, behind_proxy=True, group="a")):
        assert not complaint(right)


def test_names_that_are_answered() -> None:
    assert hosts(Setting(Place("127.0.0.1", 1))) == hosts(Setting(Place("::1", 1))) == LOOPBACK
    assert hosts(Setting(Place("127.0.0.1", 1), names=("a",))) == {"a"}
    assert not hosts(Setting(Place(path="/x")))
    assert setting.SOCKET.startswith("/run/")
