"""Egress in the ruleset: one chain for all accounts with the same sentences. Each rule has its sentence as comment.

The name of a chain is a hash of its sentences, so that a chain of that name need not be compared. What an egress with a
limit allows goes on to the chain of that limit, which all accounts with the same rate have in common, with one set.
"""

from collections.abc import Iterator
from hashlib import sha256

Egress = tuple[str, ...]

PREFIX, LIMIT = "egress_", "limit_"
PREFIXES = PREFIX, LIMIT
"""How the names of the chains begin. The set of a limit has the name of its chain."""

MAIL = "tcp flags & (syn | ack) == syn tcp dport { 25, 465, 587 }"
"""New connections to mail servers: by SMTP, by submission over TLS, and by submission (RFC 5321, 8314, 6409)."""

RETRANSMITTED = "tcp sequence @mail_syns return"
"""A SYN to a mail server that was let pass before. Addresses and ports do not tell: a customer can take the same for
another connection, but cannot choose its first sequence number. nft 1.0.6 cannot list a set with both."""

LIMITED_UIDS = 131_072
"""How many uids a limit can be for. Only those of accounts are: their subordinate uids are denied instead."""

_DENY, _LIMIT_MAIL = "deny ", "limit smtp "
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}
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
    rate = mail_rate(egress)
    allowed = f"goto {limit_chain(rate)}" if rate else "return"
    for sentence in egress:
        verdict = "goto deny" if sentence.startswith(_DENY) else allowed
        for match in _matches(sentence):
            yield f'{match} {verdict} comment "{sentence}"'.lstrip()


def denies(egress: Egress, address: str, port: int) -> bool:
    """Whether it denies TCP connections to this address and port. A limit denies none."""
    deciding = (each for each in egress if any(_fits(match, address, port) for match in _matches(each)))
    return next(deciding, "").startswith(_DENY)


def mail_rate(egress: Egress) -> str:
    """How many new connections to mail servers it allows, such as `100/h`; "" without a limit."""
    return next((each.removeprefix(_LIMIT_MAIL) for each in egress if each.startswith(_LIMIT_MAIL)), "")


def limit_chain(rate: str) -> str:
    """The name of the chain and of the set of a limit."""
    return LIMIT + rate.replace("/", "_")


def limit_rules(rate: str) -> Iterator[str]:
    """The rules of the chain of a limit. Each uid has a token bucket of its own, full at first. A SYN that is sent
    again is no new connection: the chain `leave` has noted it."""
    count, _, unit = rate.partition("/")
    limit = f"limit rate over {count}/{_UNITS[unit]} burst {count} packets"
    yield RETRANSMITTED
    yield f"{MAIL} update @{limit_chain(rate)} {{ meta skuid {limit} }} goto deny"


def _matches(sentence: str) -> Iterator[str]:
    verb, _, target = sentence.partition(" ")
    if verb == "limit":
        yield ""
        return
    if target in NAMED:
        yield from NAMED[target]
        return
    network, _, ports = f" {target}".partition(" port ")
    place = f"{'ip6' if ':' in network else 'ip'} daddr {network.strip()}" if network else ""
    if not ports:
        yield place
    else:
        yield from (f"{place} {protocol} dport {ports}".lstrip() for protocol in ("tcp", "udp"))


def _fits(match: str, address: str, port: int) -> bool:
    """Whether a TCP connection to this address and port fits a match that `_matches` made."""
    from ipaddress import ip_address, ip_network  # slow to import

    words = match.split()
    for kind, value in zip(words[::3], words[2::3], strict=True):
        if kind in ("ip", "ip6"):
            if (kind == "ip6") != (":" in address) or ip_address(address) not in ip_network(value, strict=False):
                return False
        else:
            first, _, last = value.partition("-")
            if kind != "tcp" or not int(first) <= port <= int(last or first):
                return False
    return True
