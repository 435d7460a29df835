"""On which ports this machine listens itself. See proc_net(5), tcp and udp."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.changes.supervision import ManagedServices
from paas_isolate.model.network import Pools
from paas_isolate.model.run import Run
from paas_isolate.model.service_program import Launch

_TABLES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""In which state a socket waits for anybody: TCP_LISTEN, and TCP_CLOSE for one of UDP that is not connected."""


def listening(ports: frozenset[int], pools: Pools, customers: Callable[[int], bool]) -> frozenset[int]:
    """Those of the ports on which the machine waits for the world: not on localhost alone, nor on an account's address.
    A customer who happened upon a port that the kernel handed out takes it from nobody."""
    return frozenset(
        socket.port
        for socket in _sockets()
        if socket.port in ports and not _apart(socket.address, pools) and not customers(socket.uid)
    )


class _Socket(NamedTuple):
    port: int
    address: bytes
    uid: int

    def __str__(self) -> str:
        from socket import AF_INET, AF_INET6, inet_ntop  # as in _astray

        family = AF_INET if len(self.address) == 4 else AF_INET6
        return f"{inet_ntop(family, self.address)} port {self.port}"


def ready(keep: ManagedServices, runs: Mapping[str, Run]) -> frozenset[str]:
    """The leaves whose program does what it is for: it lives, and where it is to listen, it does."""
    alive = [
        leaf
        for leaf in keep
        if (run := runs.get(leaf)) and run.alive and not run.unhealthy and not run.stop_requested_at
    ]
    elsewhere = not_listening(keep[leaf].launch for leaf in alive)
    return frozenset(leaf for leaf in alive if keep[leaf].launch not in elsewhere)


def not_listening(launches: Iterable[Launch]) -> dict[Launch, str]:
    """Which of them do not listen on their port of the account's own address, and where their user does."""
    asked = [launch for launch in launches if launch.port]
    sockets = list(_sockets()) if asked else []
    return {launch: where for launch in asked if (where := _astray(launch, sockets))}


def _astray(launch: Launch, sockets: list[_Socket]) -> str:
    from socket import AF_INET, AF_INET6, inet_pton  # a machine on which no service listens does not pay for it

    own = {_plain(inet_pton(AF_INET6 if ":" in address else AF_INET, address)) for address in launch.addresses}
    theirs = [socket for socket in sockets if socket.uid == launch.uid]
    if any(socket.port == launch.port and (not own or _plain(socket.address) in own) for socket in theirs):
        return ""
    expected = f"{launch.addresses[0] if launch.addresses else 'any address'} port {launch.port}"
    found = ", ".join(sorted(str(it) for it in theirs)[:3])
    return f"does not listen on {expected}" + (f"; {launch.user} listens on {found}" if found else "")


def _plain(address: bytes) -> bytes:
    """One of IPv4 told as one of IPv6 is the same."""
    return address[12:] if len(address) == 16 and address.startswith(bytes(10) + b"\xff\xff") else address


def _sockets() -> Iterator[_Socket]:
    for table, state in _TABLES.items():
        with suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as lines:
            next(lines)
            for line in lines:
                _, local, _, found, _, _, _, uid, *_ = line.split(maxsplit=8)
                if found == state:
                    address, _, port = local.partition(":")
                    yield _Socket(int(port, 16), _packed(address), int(uid))


def _packed(text: str) -> bytes:
    """Words of 32 bits in the machine's order, in hexadecimal."""
    words = bytes.fromhex(text)
    if sys.byteorder == "big":
        return words
    return b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))


def _apart(address: bytes, pools: Pools) -> bool:
    address = _plain(address)
    if (len(address) == 4 and address[0] == 127) or address == bytes(15) + b"\1":
        return True
    return pools.has(address)
