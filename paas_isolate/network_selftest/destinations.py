"""Destinations that an egress denies, by the meaning of its sentences rather than by the rules made of them."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from paas_isolate.changes.egress import NAMED, Egress


class Destination(NamedTuple):
    """`protocol` is tcp or udp."""

    address: str
    port: int
    protocol: str


SOMEWHERE = {False: "203.0.113.1", True: "2001:db8:ffff::1"}
"""By whether it is IPv6: an address for documentation, which nobody has (RFC 5737, RFC 3849)."""

_DISCARD = 9
_EXAMPLES = {
    "all": [(address, _DISCARD) for address in SOMEWHERE.values()],
    "smtp": [(address, 25) for address in SOMEWHERE.values()],
    "dns": [(address, 53) for address in SOMEWHERE.values()],
    "metadata": [("169.254.169.254", 80), ("fd00:ec2::254", 80)],
    "private": [("10.255.255.254", _DISCARD), ("172.31.255.254", _DISCARD), ("192.168.255.254", _DISCARD)],
}


def denied_examples(egress: Egress) -> list[Destination]:
    """Destinations that the egress denies, some for each of its sentences."""
    targets = [target for verb, _, target in (sentence.partition(" ") for sentence in egress) if verb == "deny"]
    places = [place for target in targets for place in _EXAMPLES.get(target) or _examples(target)]
    found = [Destination(*place, protocol) for place in dict.fromkeys(places) for protocol in ("tcp", "udp")]
    return [to for to in found if is_denied(egress, to)]


def is_denied(egress: Egress, to: Destination) -> bool:
    """What the first sentence that covers the destination says; what none covers is allowed. A limit denies only
    what is over it, and only where the rest allows it."""
    sentences = [sentence.split(" ", 1) for sentence in egress if not sentence.startswith("limit ")]
    return next((verb == "deny" for verb, target in sentences if _covers(target, to)), False)


def _examples(target: str) -> list[tuple[str, int]]:
    networks, first, _ = _parsed(target)
    hosts = [str(network[1 if network.num_addresses > 1 else 0]) for network in networks]
    return [(host, first or _DISCARD) for host in hosts or SOMEWHERE.values()]


def _covers(target: str, to: Destination) -> bool:
    if target in ("smtp", "dns"):
        return (to.port == 25 and to.protocol == "tcp") if target == "smtp" else to.port == 53
    networks, first, last = _parsed(target)
    here = ip_address(to.address)
    return first <= to.port <= last and (not networks or any(here in network for network in networks))


def _parsed(target: str) -> tuple[list[IPv4Network | IPv6Network], int, int]:
    """The networks of a target, none for all, with its first and last port."""
    text, _, ports = f" {target}".partition(" port ")
    first, _, last = ports.partition("-")
    named = [rule.split()[-1] for rule in NAMED.get(target, ()) if rule]
    networks = [ip_network(each) for each in named or filter(None, (text.strip(),)) if each != "all"]
    return networks, int(first or 0), int(last or first or 65535)
