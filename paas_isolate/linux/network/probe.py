"""A process of a customer's uid that does in the network what it is told, and ends with its `with`."""

import json
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

NOBODY = 65534
_PATIENCE = 1.0
"""Seconds: what is not refused on one machine arrives in far less."""


class Probe(NamedTuple):
    """Where somebody says their uid."""

    address: str
    port: int
    kind: str

    def __str__(self) -> str:
        return f"{self.address} port {self.port} by {self.kind}"


class ProbeProcess:
    """`leaf`: the cgroup to be in, '' where that is no matter."""

    def __init__(self, uid: int, leaf: str = "") -> None:
        self.uid = uid
        self.port = 0
        """The last that it served at."""
        self._leaf = leaf

    def __enter__(self) -> "ProbeProcess":
        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            ours.close()
            _play(theirs, self.uid, self._leaf)
        theirs.close()
        self._talk = ours.makefile("rw")
        ours.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._talk.close()
        os.waitpid(self._pid, 0)

    def serve(self, address: str, kind: str, port: int = 0) -> int:
        """The port, one that is free where none is named; 0 when it cannot be had."""
        served: int = self._ask("serve", address, kind, port)
        self.port = served
        return served

    def knock(self, knocks: Iterable[Probe]) -> None:
        self._ask("knock", [list(knock) for knock in knocks])

    def heard(self, knock: Probe, expected: Iterable[int] = ()) -> set[int]:
        """The uids that said theirs there. Waits for those that are expected, a second each at the most: on a busy
        machine ksoftirqd delivers what was sent after its sender has gone on."""
        return set(self._ask("heard", list(knock), list(expected)))

    def take(self, address: str, kind: str) -> bool:
        """Whether it can be bound."""
        took: bool = self._ask("take", address, kind)
        return took

    def _ask(self, *words: object) -> Any:
        self._talk.write(json.dumps(words) + "\n")
        self._talk.flush()
        answer = self._talk.readline()
        if not answer:
            raise OSError(f"the process of uid {self.uid} has ended")
        return json.loads(answer)


def _play(talk: socket.socket, uid: int, leaf: str) -> None:
    """Never comes back."""
    try:
        if leaf:
            with open(f"{leaf}/cgroup.procs", "w") as procs:
                procs.write("0")
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(uid, uid, uid)
        part = _Part(uid)
        with talk.makefile("rw") as lines:
            for line in lines:
                verb, *words = json.loads(line)
                lines.write(json.dumps(getattr(part, verb)(*words)) + "\n")
                lines.flush()
    finally:
        os._exit(0)


class _Part:
    """What the child can do."""

    def __init__(self, uid: int) -> None:
        self._said = str(uid).encode()
        self._servers: dict[tuple[str, int, str], socket.socket] = {}

    def serve(self, address: str, kind: str, port: int) -> int:
        server = _socket(address, kind)
        try:
            if kind == "tcp":  # else a connection of an earlier attempt, in TIME_WAIT, keeps a port for a minute
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
                client.send(self._said)

    def heard(self, knock: tuple[str, int, str], expected: list[int]) -> list[int]:
        address, port, kind = knock
        server = self._servers.get((address, port, kind))
        found: set[int] = set()
        with suppress(BlockingIOError, TimeoutError):
            while server:
                server.settimeout(0 if found.issuperset(expected) else _PATIENCE)
                if word := _next(server, kind):
                    found.add(int(word))
        return sorted(found)

    def take(self, address: str, kind: str) -> bool:
        with _socket(address, kind) as mine:
            try:
                mine.bind((address, 0))
            except OSError:
                return False
        return True


def _next(server: socket.socket, kind: str) -> bytes:
    """What the next one says; BlockingIOError or TimeoutError when there is none."""
    if kind == "udp":
        return server.recv(99)
    client, _ = server.accept()
    with client:
        client.settimeout(_PATIENCE)
        return client.recv(99)


def _socket(address: str, kind: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
