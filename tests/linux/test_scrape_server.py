"""The server of metrics: what it answers, and that no scraper holds it."""

import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from paas_isolate.errors import HostError
from paas_isolate.linux.network import inet_diag
from paas_isolate.linux.system import scrape_server
from paas_isolate.linux.system.scrape_server import Reply, listening, serve
from paas_isolate.listening import Place, place

Ask = Callable[[bytes], bytes]


def reply(openmetrics: bool) -> Reply:
    return Reply(b"x" * 3_000_000 if openmetrics else b"plain\n", "text/plain")


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server on a unix socket, with short patience."""
    monkeypatch.setattr(scrape_server, "RECEIVING", 0.3)
    monkeypatch.setattr(scrape_server, "SENDING", 0.3)
    path = tmp_path / "m"
    with listening(Place(path=str(path))) as server:
        threading.Thread(target=serve, args=(server, reply, lambda _: True), daemon=True).start()
        yield path


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    return client


def ask(path: Path, request: bytes) -> bytes:
    with closing(connected(path)) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def test_get_and_head(at: Path) -> None:
    assert ask(at, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"\r\n\r\nplain\n")
    assert ask(at, b"GET /metrics?a=b HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert ask(at, b"HEAD / HTTP/1.1\r\n\r\n").endswith(b"Content-Length: 6\r\nConnection: close\r\n\r\n")


def test_openmetrics_is_what_who_accepts_it_gets(at: Path) -> None:
    told = ask(at, b"GET / HTTP/1.1\r\naccept: text/plain;q=0.5,application/openmetrics-text;version=1.0.0\r\n\r\n")
    assert len(told.partition(b"\r\n\r\n")[2]) == 3_000_000


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /secret HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\r\n\r\n", b"405"),
        (b"\xff\x00\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nX: ".ljust(scrape_server.LONGEST, b"y"), b"431"),
    ],
)
def test_anything_else_is_refused(at: Path, request_: bytes, status: bytes) -> None:
    assert ask(at, request_).split()[1] == status
    assert ask(at, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_who_sends_a_byte_now_and_then_holds_it_for_the_time_of_one_request(at: Path) -> None:
    with closing(connected(at)) as slow:
        begin = time.monotonic()
        with pytest.raises(OSError):
            for _ in range(100):
                slow.send(b"G")
                time.sleep(0.05)
        assert time.monotonic() - begin < 2
    assert ask(at, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_who_takes_no_answer_holds_it_for_the_time_of_one_answer(at: Path) -> None:
    with closing(connected(at)) as deaf:
        deaf.sendall(b"GET / HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n")
        begin = time.monotonic()
        assert ask(at, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - begin < 2


def test_who_goes_at_once_harms_nothing(at: Path) -> None:
    for _ in range(50):
        connected(at).close()
    assert ask(at, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_a_path_is_for_root_alone_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "m"
    for _ in range(2):  # one that was left there is replaced
        with listening(Place(path=str(path))):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not path.exists()
    path.write_text("a file of somebody's")
    with pytest.raises(HostError), listening(Place(path=str(path))):
        pass
    assert path.read_text() == "a file of somebody's"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9753", Place("127.0.0.1", 9753)),
        ("[::1]:9753", Place("::1", 9753)),
        ("unix:/run/m", Place(path="/run/m")),
    ],
)
def test_places(text: str, expected: Place) -> None:
    assert place(text, loopback=True) == expected


@pytest.mark.parametrize(
    "text", ["0.0.0.0:1", "[::]:1", "::1:1", ":1", "9753", "127.0.0.1:", "127.0.0.1:99999", "unix:m", "10.0.0.1:9", ""]
)
def test_others_machines_are_no_place(text: str) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:PORT"):
        place(text, loopback=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("wanted", [True, False])
def test_on_a_port_the_kernel_says_who_asks(address: str, wanted: bool) -> None:
    asked: list[int] = []

    def may(uid: int) -> bool:
        asked.append(uid)
        return wanted

    try:
        server = listening(Place(address, 0))
        with server as socket_:
            threading.Thread(target=serve, args=(socket_, reply, may), daemon=True).start()
            with socket.create_connection(socket_.getsockname()[:2], 10) as client:
                try:
                    client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    said = client.recv(100)
                except ConnectionResetError:
                    said = b"HTTP/1.1 403 "
    except HostError:
        pytest.skip("no IPv6 here")
    assert asked == [os.getuid()]
    assert said.startswith(b"HTTP/1.1 200 " if wanted else b"HTTP/1.1 403 ")


def test_a_mapped_client_is_known_too() -> None:
    with listening(Place("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET6) as client:
        try:
            client.connect((f"::ffff:{server.getsockname()[0]}", server.getsockname()[1]))
        except OSError:
            pytest.skip("no IPv6 here")
        connection, peer = server.accept()
        with connection:
            assert inet_diag.uid_of(peer, connection.getsockname()) == os.getuid()
    assert inet_diag.uid_of(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
