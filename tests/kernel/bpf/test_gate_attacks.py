"""Attacks on the gate by customers, each with the kernel's own calls."""

import pytest

from tests.kernel.bpf.test_gate import (
    ALICE,
    BOB,
    EXCHANGE,
    OUTSIDE,
    RANGE,
    SYSTEM,
    GateHost,
    host,
    traffic,
)

__all__ = ["host"]

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]


def test_a_socket_that_connects_again_takes_nothing_off_the_counters(host: GateHost) -> None:
    """connect(2) to AF_UNSPEC sets what the kernel counts for a socket to 0."""
    host.ask(ALICE, EXCHANGE.format("127.0.0.1", "AF_INET"))
    before = traffic(host)
    again = (
        "assert libc.connect(client.fileno(), bytes(16), 16) == 0;"
        "served.close(); client.connect(('127.0.0.1', 8080)); served = server.accept()[0];"
        "client.sendall(bytes(1000)); served.recv(1000); client.close(); served.close(); answer = 1"
    )
    assert host.ask(ALICE, again) == 1
    after = traffic(host)
    assert after[2] >= before[2] + 1000, (before, after)
    assert after[0] >= before[0] + 1000, (before, after)


def test_a_systems_listener_beside_it_opens_no_customers_listener(host: GateHost) -> None:
    """One on ::1 and one on the wildcard of IPv4 may have the same port."""
    assert host.ask(ALICE, RANGE) == 40_000
    serve = "keep[1] = s = socket.socket(AF_INET6); s.bind(('::1', 40_000)); s.listen(); answer = 1"
    assert host.ask(SYSTEM, serve) == 1
    come = "socket.create_connection(('127.0.0.1', 40_000), 3); answer = 'came'"
    assert host.ask(BOB, come) == "PermissionError"
    assert host.ask(OUTSIDE, come.replace("127.0.0.1", "198.51.100.1")) == "ConnectionRefusedError"
