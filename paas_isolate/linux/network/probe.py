"""A process of a customer's uid that serves, connects and binds on request, for the tests of the network."""

import errno
import json
import os
import socket
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple

NOBODY = 65534
_PATIENCE = 1.0
"""Seconds: within one machine, what is not refused arrives in far less."""


class Probe(NamedTuple):
    """Where a client connects and sends its uid. `kind` is `tcp` or `udp`."""

    address: str
    port: int
    kind: str

    def __str__(self) -> str:
        return f"{self.address} port {self.port} by {self.kind}"


class Departure(StrEnum):
    """What became of a packet: it was refused, it left, or there was no way out for it (no route, or the address is the
    machine's own)."""

    REFUSED = "refused"
    LEAVES = "leaves"
    STAYS = "stays"


class ProbeProcess:
    """A context manager: the process lives as long as its block. `leaf` is the directory of the cgroup that it enters,
    '' where it stays in ours. Its methods raise OSError when the process has ended."""

    def __init__(self, uid: int, leaf: str = "") -> None:
        self.uid = uid
        self.port = 0
        """The port that `serve` got last."""
        self._leaf = leaf

    def __enter__(self) -> "ProbeProcess":
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _play(theirs, self.uid, self._leaf)
        theirs.close()
        self._channel = ours.makefile("rw")
        ours.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._channel.close()
        os.waitpid(self._pid, 0)

    def serve(self, address: str, kind: str, port: int = 0) -> int:
        """Listen at an address; `port` 0 lets the kernel choose one. The port; 0 when it cannot be bound."""
        served: int = self._ask("serve", address, kind, port)
        self.port = served
        return served

    def knock(self, knocks: Iterable[Probe], source: str = "") -> None:
        """Send our uid to each of these, from `source` or from the address that the kernel chooses; what is refused is
        no error."""
        self._ask("knock", [list(probe) for probe in knocks], source)

    def heard(self, knock: Probe, expected: Iterable[int] = ()) -> AbstractSet[int]:
        """The uids that clients have sent to a server of ours. Waits for the expected ones, for each one second at the
        most: on a busy machine ksoftirqd may deliver data only after the sender has gone on."""
        return self.heard_from(knock, expected).keys()

    def heard_from(self, knock: Probe, expected: Iterable[int] = ()) -> dict[int, str]:
        """As `heard`, with the address that each client was seen at."""
        return dict(self._ask("heard", list(knock), list(expected)))

    def reach(self, address: str, port: int, source: str = "") -> bool:
        """Whether a TCP connection to a server of anybody is accepted there. Nothing is sent."""
        accepted: bool = self._ask("reach", address, port, source)
        return accepted

    def leave(self, probe: Probe) -> Departure:
        """Send one packet that ends at the next router, and tell what became of it on this machine."""
        return Departure(self._ask("leave", list(probe)))

    def take(self, address: str, kind: str) -> bool:
        """Whether the address can be bound, with a port of the kernel's choice."""
        bound: bool = self._ask("take", address, kind)
        return bound

    def _ask(self, *request: object) -> Any:
        self._channel.write(json.dumps(request) + "\n")
        self._channel.flush()
        answer = self._channel.readline()
        if not answer:
            raise OSError(f"the process of uid {self.uid} has ended")
        return json.loads(answer)


def _play(channel: socket.socket, uid: int, leaf: str) -> None:
    """The child: never returns."""
    try:
        if leaf:
            with open(f"{leaf}/cgroup.procs", "w") as procs:
                procs.write("0")
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(uid, uid, uid)
        part = _Part(uid)
        with channel.makefile("rw") as lines:
            for line in lines:
                method, *arguments = json.loads(line)
                lines.write(json.dumps(getattr(part, method)(*arguments)) + "\n")
                lines.flush()
    finally:
        os._exit(0)


class _Part:
    """The methods of ProbeProcess as the child carries them out."""

    def __init__(self, uid: int) -> None:
        self._greeting = str(uid).encode()
        self._servers: dict[tuple[str, int, str], socket.socket] = {}

    def serve(self, address: str, kind: str, port: int) -> int:
        server = _socket(address, kind)
        try:
            if kind == "tcp":  # else a connection of an earlier attempt (TIME_WAIT) holds the port for a minute
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if kind == "tcp":
                server.listen(1024)
        except OSError:
            server.close()
            return 0
        served: int = server.getsockname()[1]
        self._servers[address, served, kind] = server
        return served

    def knock(self, knocks: list[tuple[str, int, str]], source: str) -> None:
        for address, port, kind in knocks:
            with suppress(OSError), _socket(address, kind, source) as client:
                client.connect((address, port))
                client.send(self._greeting)

    def reach(self, address: str, port: int, source: str) -> bool:
        try:
            with _socket(address, "tcp", source) as client:
                client.connect((address, port))
        except OSError:
            return False
        return True

    def leave(self, probe: tuple[str, int, str]) -> Departure:
        address, port, kind = probe
        with _socket(address, kind) as client:
            if client.family == socket.AF_INET6:
                client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
            else:
                client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            try:
                client.connect((address, port))
                if client.getsockname()[0] == address:
                    return Departure.STAYS
                client.send(self._greeting)
            except OSError as error:
                if error.errno == errno.ENETUNREACH:
                    return Departure.STAYS
                refused = error.errno in (errno.ECONNREFUSED, errno.EPERM, errno.EACCES)
                return Departure.REFUSED if refused else Departure.LEAVES
        return Departure.LEAVES

    def heard(self, knock: tuple[str, int, str], expected: list[int]) -> list[tuple[int, str]]:
        address, port, kind = knock
        server = self._servers.get((address, port, kind))
        uids: dict[int, str] = {}
        with suppress(BlockingIOError, TimeoutError):
            while server:
                server.settimeout(0 if uids.keys() >= set(expected) else _PATIENCE)
                greeting, source = _next(server, kind)
                if greeting:
                    uids[int(greeting)] = source
        return sorted(uids.items())

    def take(self, address: str, kind: str) -> bool:
        with _socket(address, kind) as bound:
            try:
                bound.bind((address, 0))
            except OSError:
                return False
        return True


def _next(server: socket.socket, kind: str) -> tuple[bytes, str]:
    """What the next client has sent, and its address; BlockingIOError or TimeoutError when there is no client."""
    if kind == "udp":
        greeting, peer = server.recvfrom(99)
        return greeting, peer[0]
    client, peer = server.accept()
    with client:
        client.settimeout(_PATIENCE)
        return client.recv(99), peer[0]


def _socket(address: str, kind: str, source: str = "") -> socket.socket:
    """For `address`, bound to `source` where one is given. OSError where that is not possible."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    made.settimeout(_PATIENCE)
    try:
        if source:
            made.bind((source, 0))
    except OSError:
        made.close()
        raise
    return made


def machine_address(like: str) -> str:
    """The address of this machine, of the family of `like`, from which packets to the world are sent; '' where there is
    no route. Nothing is sent (connect(2) of UDP)."""
    with suppress(OSError), _socket(like, "udp") as client:
        client.connect((like, 9))
        found: str = client.getsockname()[0]
        return found
    return ""
