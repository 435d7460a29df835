"""Where a person asks from: the address that is written into the log, and by which tries are counted. Pure."""

import ipaddress
from typing import NamedTuple


class Allowance(NamedTuple):
    """So many tries at once, and so many a second in the long run."""

    burst: float
    a_second: float

    def level(self, used: tuple[float, float] | None, now: float) -> float:
        """How many tries are counted at `now`; `used` is how many were, and when (monotonic clock)."""
        return max(0.0, used[0] - (now - used[1]) * self.a_second) if used else 0.0


def is_address(text: object) -> bool:
    """Whether it is an IP address without a zone, or ''."""
    try:
        return text == "" or (isinstance(text, str) and "%" not in text and bool(ipaddress.ip_address(text)))
    except ValueError:
        return False


def network_of(address: str) -> str:
    """What tries from an address are counted by: who has one IPv6 address has 2**64 of them. '' for '' and for what is
    none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
