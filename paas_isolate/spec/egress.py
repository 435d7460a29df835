"""The key `egress`: `allow`, `deny`, or a mapping with lists of what is allowed and denied, and limits.

It is read into rules such as `allow dns`, `deny 10.0.0.0/8 port 25`, `deny all`. The first that matches decides. Last
comes `limit smtp 100/h`, for what they allow.
"""

import re
from collections.abc import Iterator
from typing import Any

from paas_isolate.model.account import ANYWHERE
from paas_isolate.spec.diagnostics import Diagnostics, below
from paas_isolate.spec.read import Node, Pairs, Scalar
from paas_isolate.spec.scalars import exact, fits
from paas_isolate.spec.shapes import Field, ListOf, ScalarShape, Schema, Table
from paas_isolate.units import parse_count

NAMED = ("smtp", "dns", "metadata", "private")
EVERYTHING = {"allow": ANYWHERE, "deny": ("deny all",)}

_EXPECTED = (
    f"{', '.join(NAMED)}, a port such as 443 or 8000-8100, a network such as 203.0.113.0/24, or one with a port: "
    "203.0.113.9:25, [2001:db8::/32]:25"
)
_EMPTY_LIST = "is an empty list; expected a place, or no list"
_PLAIN = r"[0-9A-Fa-f.:/]+"
_PLACE = re.compile(r"\[(?P<v6>[^]]+)\](?::(?P<port6>.+))?|(?P<v4>[0-9./]+)(?::(?P<port4>.+))?", re.ASCII)


def _target(text: str) -> str:
    """The normal form: `smtp`, `port 443`, `203.0.113.0/24`, `2001:db8::/32 port 25`. Raises ValueError with what was
    expected."""
    if text in NAMED:
        return text
    if re.fullmatch(r"[0-9]+(-[0-9]+)?", text, re.ASCII):
        return f"port {_ports(text)}"
    match = None if text.count(":") > 1 and not text.startswith("[") else _PLACE.fullmatch(text)
    network = _network((match["v6"] or match["v4"]) if match else text)
    if (match is None or match["v6"]) and ":" not in network:
        raise ValueError(_EXPECTED)
    port = (match["port6"] or match["port4"]) if match else None
    return f"{network} port {_ports(port)}" if port else network


def _ports(text: str) -> str:
    first, _, last = text.partition("-")
    try:
        numbers = [parse_count(exact(number)) for number in (first, last or first)]
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if not 1 <= numbers[0] <= numbers[1] <= 65535:
        raise ValueError("ports from 1 to 65535, the lower one first")
    return "-".join(map(str, dict.fromkeys(numbers)))


def _network(text: str) -> str:
    from ipaddress import ip_network  # imported for a file that has the key

    try:
        network = ip_network(fits(_PLAIN, _EXPECTED)(text), strict=False)
    except ValueError:
        raise ValueError(_EXPECTED) from None
    if "/" in text and str(network.network_address) != str(ip_network(text.partition("/")[0]).network_address):
        raise ValueError(f"{network}, for the network begins there")
    return str(network) if network.num_addresses > 1 else str(network.network_address)


TARGET = ScalarShape(_target, _EXPECTED, {"type": ["string", "integer"]})

_RATE = "[1-9][0-9]{0,5}/[smhd]"
_RATE_EXPECTED = "new connections by time, from 1 to 999999 by s, m, h or d, such as 100/h"
RATE = ScalarShape(fits(_RATE, _RATE_EXPECTED), _RATE_EXPECTED, {"type": "string", "pattern": f"^{_RATE}$"})
_LIMITS = Table((Field("smtp", RATE, "new connections to ports 25, 465 and 587"),), "a mapping such as {smtp: 100/h}")


class EgressShape:
    """Reads `egress:` into rules, those that allow first; `deny all` follows `allow:` where no `deny:` is given."""

    _table = Table(
        (
            Field("allow", ListOf(TARGET, "a list of places"), "what is allowed, whatever deny says"),
            Field("deny", ListOf(TARGET, "a list of places"), "what is denied (default: all that allow does not name)"),
            Field("limit", _LIMITS, "how much of what is allowed each user may do; more is denied"),
        ),
        "allow, deny, or a mapping with lists of what is allowed and denied, or a limit",
    )

    def read(self, node: Node, key: str, diagnostics: Diagnostics) -> tuple[str, ...]:
        if isinstance(node, Scalar) and node.text in EVERYTHING:
            return EVERYTHING[node.text]
        if not isinstance(node, Pairs):
            diagnostics.error_value(node, key, self._table.expected)
            return ()
        lists = self._table.read(node, key, diagnostics)
        if not lists:
            diagnostics.error(node, key, "is empty; expected allow: or deny: with a list of places, or limit:")
        for name, entries in lists.items():
            if not entries and entries is not None:
                found = f"is empty; expected {_LIMITS.expected}" if name == "limit" else _EMPTY_LIST
                diagnostics.error(node.pairs[name][1], below(key, name), found)
        return tuple(_rules(lists))

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": list(EVERYTHING)}, self._table.schema()]}


def _rules(lists: dict[str, Any]) -> Iterator[str]:
    for verb in ("allow", "deny"):
        for target in lists.get(verb) or ():
            yield f"{verb} {target}"
    if "allow" in lists and "deny" not in lists:
        yield "deny all"
    for target, rate in (lists.get("limit") or {}).items():
        yield f"limit {target} {rate}"
