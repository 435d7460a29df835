"""On which ports this machine and its services listen (proc_net(5): tcp, tcp6, udp, udp6)."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.changes.supervision import ManagedServices
from paas_isolate.model.network import Pools
from paas_isolate.model.run import Run
from paas_isolate.model.service_program import Launch

_TABLES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state of a socket that serves, in hexadecimal: TCP_LISTEN, or TCP_CLOSE for UDP that is not connected
(include/net/tcp_states.h)."""

_ACCEPTS = 1 << 16
"""__SO_ACCEPTCON (include/uapi/linux/net.h)."""
_UNIX = re.compile(r"\S+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) [0-9A-F]{4} [0-9A-F]{2} +([0-9]+) (.+)", re.ASCII)
"""A line of proc_net(5), unix: flags, inode, path. The path is text of whoever bound it, and the kernel prints its line
ends as they are: what follows them is no such line."""


def listening(ports: frozenset[int], pools: Pools, customers: Callable[[int], bool]) -> frozenset[int]:
    """Those of the ports on which the machine itself serves other machines: not on localhost alone, nor on an address
    of the pools. Sockets of customers do not count: a port that the kernel happened to give them is nobody's."""
    return frozenset(
        socket.port
        for socket in _sockets()
        if socket.port in ports and not _is_local(socket.address, pools) and not customers(socket.uid)
    )


class _Socket(NamedTuple):
    port: int
    address: bytes
    uid: int
    inode: int

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"

    @property
    def host(self) -> str:
        from socket import AF_INET, AF_INET6, inet_ntop  # imported late for the reason in _listens_elsewhere

        return inet_ntop(AF_INET if len(self.address) == 4 else AF_INET6, self.address)


def ready(keep: ManagedServices, runs: Mapping[str, Run]) -> frozenset[str]:
    """The leaves whose program is ready: it is alive and healthy, was not asked to stop, and listens on the port that
    it has to listen on, if any."""
    alive = [
        leaf
        for leaf in keep
        if (run := runs.get(leaf)) and run.alive and not run.unhealthy and not run.stop_requested_at
    ]
    not_ready = not_listening(keep[leaf].launch for leaf in alive)
    return frozenset(leaf for leaf in alive if keep[leaf].launch not in not_ready)


def not_listening(launches: Iterable[Launch]) -> dict[Launch, str]:
    """Which of them do not listen on their port of the account's own address, each with a sentence that tells so and
    where their user does listen."""
    with_port = [launch for launch in launches if launch.port]
    sockets = list(_sockets()) if with_port else []
    return {launch: problem for launch in with_port if (problem := _listens_elsewhere(launch, sockets))}


def _listens_elsewhere(launch: Launch, sockets: list[_Socket]) -> str:
    from socket import AF_INET, AF_INET6, inet_pton  # a machine on which no service listens does not pay for it

    own = {_unmapped(inet_pton(AF_INET6 if ":" in address else AF_INET, address)) for address in launch.addresses}
    of_user = [socket for socket in sockets if socket.uid == launch.uid]
    if any(socket.port == launch.port and (not own or _unmapped(socket.address) in own) for socket in of_user):
        return ""
    expected = f"{launch.addresses[0] if launch.addresses else 'any address'} port {launch.port}"
    found = ", ".join(sorted(str(socket) for socket in of_user)[:3])
    return f"does not listen on {expected}" + (f"; {launch.user} listens on {found}" if found else "")


def _unmapped(address: bytes) -> bytes:
    """The IPv4 address that an IPv6 address maps (::ffff:0:0/96, RFC 4291); any other as it is."""
    return address[12:] if len(address) == 16 and address.startswith(bytes(10) + b"\xff\xff") else address


def places(pid: int) -> tuple[str, ...]:
    """Where a process of this network namespace accepts connections: `port 8421 of 127.0.0.1`, or the path of a unix
    socket. OSError where its descriptors cannot be looked at: it has gone, or this is not root."""
    own = _inodes(pid)
    ports = (f"port {socket.port} of {socket.host}" for socket in _sockets() if socket.inode in own)
    return (*sorted(ports), *sorted(path for inode, path in _unix_sockets() if inode in own))


def _inodes(pid: int) -> frozenset[int]:
    """Of the sockets that a process has."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            kind, _, inode = os.readlink(f"/proc/{pid}/fd/{name}").partition(":[")
            if kind == "socket":
                found.add(int(inode.rstrip("]")))
    return frozenset(found)


def _unix_sockets() -> Iterator[tuple[int, str]]:
    """Inode and path of those that accept connections (proc_net(5): unix)."""
    with suppress(OSError), open("/proc/net/unix", encoding="utf-8", errors="backslashreplace") as lines:
        next(lines)
        for line in lines:
            if (found := _UNIX.fullmatch(line.rstrip("\n"))) and int(found[1], 16) & _ACCEPTS:
                yield int(found[2]), found[3]


def _sockets() -> Iterator[_Socket]:
    for table, state in _TABLES.items():
        with suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as lines:
            next(lines)
            for line in lines:
                _, local, _, socket_state, _, _, _, uid, _, inode, *_ = line.split(maxsplit=10)
                if socket_state == state:
                    address, _, port = local.partition(":")
                    yield _Socket(int(port, 16), _packed(address), int(uid), int(inode))


def _packed(text: str) -> bytes:
    """An address as bytes in network order. The kernel prints words of 32 bits in the machine's order, in
    hexadecimal."""
    words = bytes.fromhex(text)
    if sys.byteorder == "big":
        return words
    return b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))


def _is_local(address: bytes, pools: Pools) -> bool:
    """Whether it is of localhost or of an account: no other machine is served there."""
    address = _unmapped(address)
    if (len(address) == 4 and address[0] == 127) or address == bytes(15) + b"\1":
        return True
    return pools.has(address)
