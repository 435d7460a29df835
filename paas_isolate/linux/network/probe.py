"""A process of a customer's uid that serves, connects and binds on request, for the tests of the network."""

import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
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

    def knock(self, knocks: Iterable[Probe]) -> None:
        """Send our uid to each of these; what is refused is no error."""
        self._ask("knock", [list(probe) for probe in knocks])

    def heard(self, knock: Probe, expected: Iterable[int] = ()) -> set[int]:
        """The uids that clients have sent to a server of ours. Waits for the expected ones, for each one second at the
        most: on a busy machine ksoftirqd may deliver data only after the sender has gone on."""
        return set(self._ask("heard", list(knock), list(expected)))

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

    def knock(self, knocks: list[tuple[str, int, str]]) -> None:
        for address, port, kind in knocks:
            with suppress(OSError), _socket(address, kind) as client:
                client.settimeout(_PATIENCE)
                client.connect((address, port))
                client.send(self._greeting)

    def heard(self, knock: tuple[str, int, str], expected: list[int]) -> list[int]:
        address, port, kind = knock
        server = self._servers.get((address, port, kind))
        uids: set[int] = set()
        with suppress(BlockingIOError, TimeoutError):
            while server:
                server.settimeout(0 if uids.issuperset(expected) else _PATIENCE)
                if greeting := _next(server, kind):
                    uids.add(int(greeting))
        return sorted(uids)

    def take(self, address: str, kind: str) -> bool:
        with _socket(address, kind) as bound:
            try:
                bound.bind((address, 0))
            except OSError:
                return False
        return True


def _next(server: socket.socket, kind: str) -> bytes:
    """What the next client has sent; BlockingIOError or TimeoutError when there is no client."""
    if kind == "udp":
        return server.recv(99)
    client, _ = server.accept()
    with client:
        client.settimeout(_PATIENCE)
        return client.recv(99)


def _socket(address: str, kind: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
