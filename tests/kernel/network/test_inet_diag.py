"""Connections that are ended by the kernel, in a network namespace of the test's own."""

import ctypes
import os
import socket
from collections.abc import Callable

import pytest

from paas_isolate.linux.network import inet_diag
from paas_isolate.linux.process.child import run_forked

pytestmark = pytest.mark.kernel
NEWNET = 0x40000000
DEVICE = b"lo"


def inside(work: Callable[[], str]) -> str:
    def child() -> str:
        assert ctypes.CDLL(None).unshare(NEWNET) == 0
        assert os.system("ip link set lo up") == 0
        return work()

    return run_forked(child, what="the network namespace of a test", patience=60)


def ends(at: tuple[str, int], listener: socket.socket, device: bytes = b"") -> tuple[socket.socket, socket.socket]:
    client = socket.socket(listener.family)
    if device:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
    client.connect(at)
    return client, listener.accept()[0]


def told(end: socket.socket) -> str:
    end.settimeout(1)
    try:
        return repr(end.recv(1))
    except OSError as error:
        return type(error).__name__


@pytest.mark.parametrize("device", [b"", DEVICE])
@pytest.mark.parametrize(("family", "at"), [(2, "127.0.0.1"), (10, "::1"), (10, "::ffff:127.0.0.1")])
def test_a_connection_ends_alone(family: int, at: str, device: bytes) -> None:
    def work() -> str:
        with socket.create_server(
            ("::" if ":" in at else at, 8080), family=family, dualstack_ipv6=family == 10
        ) as server:
            client, served = ends((at, 8080), server, device)
            other, stays = ends((at, 8080), server, device)
            port = client.getsockname()[1]
            ending = [each for each in inet_diag.connections() if each.local_port == port]
            said = [len(ending), inet_diag.end(ending), told(client), told(served)]
            other.send(b"x")
            return repr([*said, stays.recv(1)])

    expected = [1, [0], "ConnectionAbortedError", "ConnectionResetError", b"x"]
    assert inside(work) == repr(expected)


@pytest.mark.hostile
def test_where_a_connection_is_gone_its_listener_stays() -> None:
    """The kernel looks a socket up as for a packet: without the cookie it would end the listener."""

    def work() -> str:
        with socket.create_server(("127.0.0.1", 8080)) as server:
            client, served = ends(("127.0.0.1", 8080), server)
            ending = inet_diag.connections()
            served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            served.close()
            client.close()
            said = inet_diag.end(ending)
            ends(("127.0.0.1", 8080), server)
            return repr(said)

    assert inside(work) == "[0, 0]"
