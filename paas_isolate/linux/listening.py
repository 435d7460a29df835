"""On which ports this machine listens itself. See proc_net(5), tcp and udp."""

import sys
from collections.abc import Iterator
from contextlib import suppress

from paas_isolate.model.network import Pools

_TABLES = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""In which state a socket waits for anybody: TCP_LISTEN, and TCP_CLOSE for one of UDP that is not connected."""


def listening(ports: frozenset[int], pools: Pools) -> frozenset[int]:
    """Those of the ports on which somebody waits for the world: not on localhost alone, nor on an account's address."""
    return frozenset(port for port, address in _sockets() if port in ports and not _apart(address, pools))


def _sockets() -> Iterator[tuple[int, bytes]]:
    for table, state in _TABLES.items():
        with suppress(OSError), open(f"/proc/net/{table}", encoding="ascii") as lines:
            next(lines)
            for line in lines:
                _, local, _, found, *_ = line.split(maxsplit=4)
                if found == state:
                    address, _, port = local.partition(":")
                    yield int(port, 16), _packed(address)


def _packed(text: str) -> bytes:
    """Words of 32 bits in the machine's order, in hexadecimal."""
    words = bytes.fromhex(text)
    if sys.byteorder == "big":
        return words
    return b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))


def _apart(address: bytes, pools: Pools) -> bool:
    if len(address) == 16 and address.startswith(bytes(10) + b"\xff\xff"):
        address = address[12:]
    if (len(address) == 4 and address[0] == 127) or address == bytes(15) + b"\1":
        return True
    return pools.has(address)
