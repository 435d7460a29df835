"""Egress in the ruleset: one chain for all accounts with the same sentences. Each rule has its sentence as comment.

The name of a chain is a hash of its sentences, so that a chain of that name need not be compared.
"""

from collections.abc import Iterator
from hashlib import sha256

Egress = tuple[str, ...]

PREFIX = "egress_"
_VERDICTS = {"allow": "return", "deny": "goto withhold"}
NAMED = {
    "all": ("",),
    "smtp": ("tcp dport 25",),
    "dns": ("tcp dport 53", "udp dport 53"),
    "metadata": ("ip daddr 169.254.169.254", "ip6 daddr fd00:ec2::254"),
    "private": ("ip daddr 10.0.0.0/8", "ip daddr 172.16.0.0/12", "ip daddr 192.168.0.0/16", "ip6 daddr fc00::/7"),
}
"""`private` is RFC 1918 and RFC 4193; `metadata` the address at which clouds serve credentials (IPv6: Amazon's)."""


def chain(egress: Egress) -> str:
    """The name of the chain."""
    return PREFIX + sha256("\n".join(egress).encode()).hexdigest()[:16]


def rules(egress: Egress) -> Iterator[str]:
    """The rules of one chain, in the syntax of nft(8)."""
    for sentence in egress:
        verb, _, target = sentence.partition(" ")
        for match in NAMED.get(target) or _matches(target):
            yield f'{match} {_VERDICTS[verb]} comment "{sentence}"'.lstrip()


def _matches(target: str) -> Iterator[str]:
    network, _, ports = f" {target}".partition(" port ")
    place = f"{'ip6' if ':' in network else 'ip'} daddr {network.strip()}" if network else ""
    if not ports:
        yield place
    else:
        yield from (f"{place} {protocol} dport {ports}".lstrip() for protocol in ("tcp", "udp"))
