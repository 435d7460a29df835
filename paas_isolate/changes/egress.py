"""Egress in the ruleset: a chain for each that is sold, however many accounts have it; every rule tells its sentence.

A chain is named by what is in it, so that one that is there need not be compared.
"""

from collections.abc import Iterator
from hashlib import sha256

Egress = tuple[str, ...]

PREFIX = "egress_"
_VERDICTS = {"allow": "return", "deny": "goto withhold"}
_NAMED = {
    "all": ("",),
    "smtp": ("tcp dport 25",),
    "dns": ("tcp dport 53", "udp dport 53"),
    "metadata": ("ip daddr 169.254.169.254", "ip6 daddr fd00:ec2::254"),
    "private": ("ip daddr 10.0.0.0/8", "ip daddr 172.16.0.0/12", "ip daddr 192.168.0.0/16", "ip6 daddr fc00::/7"),
}
"""RFC 1918 and RFC 4193; the address where clouds tell a machine its secrets (IPv6: Amazon's)."""


def chain(egress: Egress) -> str:
    return PREFIX + sha256("\n".join(egress).encode()).hexdigest()[:16]


def rules(egress: Egress) -> Iterator[str]:
    """Of one chain, as nft(8) has them; the comment is the sentence."""
    for sentence in egress:
        verb, _, target = sentence.partition(" ")
        for match in _NAMED.get(target) or _matches(target):
            yield f'{match} {_VERDICTS[verb]} comment "{sentence}"'.lstrip()


def _matches(target: str) -> Iterator[str]:
    network, _, ports = f" {target}".partition(" port ")
    place = f"{'ip6' if ':' in network else 'ip'} daddr {network.strip()}" if network else ""
    if not ports:
        yield place
    else:
        yield from (f"{place} {protocol} dport {ports}".lstrip() for protocol in ("tcp", "udp"))
