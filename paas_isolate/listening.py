"""Where a server listens: a port of an address, or the path of a unix socket. Pure."""

import re
from ipaddress import ip_address
from typing import NamedTuple


class Place(NamedTuple):
    """A `port` of the `address`, or the `path` of a unix socket, '' where it is a port."""

    address: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether it is a port that this machine alone can connect to."""
        return bool(self.address) and ip_address(self.address).is_loopback


def place(text: str, *, loopback: bool = False) -> Place:
    """`127.0.0.1:8421`, `[::1]:8421` or `unix:/PATH`; with `loopback` no port of another address. ValueError with what
    was expected."""
    expected = ValueError("127.0.0.1:PORT, [::1]:PORT or unix:/PATH")
    if text.startswith("unix:/"):
        return Place(path=text.removeprefix("unix:"))
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})", text, re.ASCII)
    if not found or int(found[3]) > 65535:
        raise expected
    try:
        address = ip_address(found[1] or found[2])
    except ValueError:
        raise expected from None
    if bool(found[1]) != (address.version == 6) or (loopback and not address.is_loopback):
        raise expected
    return Place(str(address), int(found[3]))
