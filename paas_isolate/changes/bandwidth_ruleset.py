"""The nftables table that says whose packets count to which limit, as text for nft(8).

Postrouting, not the egress hook of an interface: the table stays whole when an interface goes and comes back.
"""

from collections.abc import Iterable, Iterator, Sequence

from paas_isolate.model.bandwidth import MAJOR, BandwidthRules, Receiver, Sender
from paas_isolate.model.network import UidRange

TABLE = "inet paas_isolate_bandwidth"
BURST = 65536
"""Bytes above what the bucket holds anyway, which is the rate of a second: a packet that the receive offload (GRO) has
put together must fit."""

_SENT = """
  chain sent {
    type filter hook postrouting priority 200; policy accept;
    meta priority set meta skuid map @senders;
  }
"""
_RECEIVED = """
  chain received {
    type filter hook input priority 10; policy accept;
    iif "lo" accept;
    limit name meta skuid map @receivers drop;
  }
"""


def table(rules: BandwidthRules, *, elements: bool = False) -> str:
    """The table, with or without elements. A chain that no uid needs is left out: each packet would take longer."""
    sold = _limits(rules.receivers) if elements else {}
    limits = "".join(f"  limit {name} {_over(rate)}\n" for name, rate in sold.items())
    maps = "  map fingerprints { type mark : mark; }\n"
    maps += _map("senders", "classid", [(each.uids, _sender(each)) for each in rules.senders], elements=elements)
    maps += _map("receivers", "limit", [(each.uids, _receiver(each)) for each in rules.receivers], elements=elements)
    chains = (_SENT if rules.senders else "") + (_RECEIVED if rules.receivers else "")
    return f"table {TABLE} {{\n{limits}{maps}{chains}}}\n"


def _map(name: str, kind: str, rows: Sequence[tuple[UidRange, str]], *, elements: bool) -> str:
    # a look-up among ranges takes longer than one by hash: only where there are subordinate uids
    flags = " flags interval;" if any(uids.first != uids.last for uids, _ in rows) else ""
    # in the block itself: nft 1.0.6 does not find a new limit from an element that is added to a new map of ranges
    listed = f" elements = {{ {', '.join(sorted(text for _, text in rows))} }}" if elements and rows else ""
    return f"  map {name} {{ type uid : {kind};{flags}{listed} }}\n"


def _over(rate: int) -> str:
    return f"{{ rate over {rate} bytes/second burst {BURST} bytes; }}"


def same_table(rules: BandwidthRules, others: BandwidthRules) -> bool:
    """Whether both need the same maps and chains."""
    return table(rules) == table(others)


def replacement(rules: BandwidthRules) -> str:
    """One transaction: the table anew, with everything in it."""
    return f"table {TABLE}\ndelete table {TABLE}\n{table(rules, elements=True)}"


def change(wanted: BandwidthRules, found: BandwidthRules) -> str:
    """One transaction from `found` to `wanted`, which need the same table; '' where nothing differs."""
    return "".join((*_removed(found, wanted), *_added(wanted, found), *_limits_removed(found, wanted)))


def limit_name(receiver: Receiver) -> str:
    """The name tells number and rate. A limit cannot be changed, so another rate is another limit."""
    return f"receives_{receiver.number}_{receiver.rate}"


def _added(wanted: BandwidthRules, found: BandwidthRules) -> Iterator[str]:
    for name, rate in sorted(_limits(wanted.receivers).items() - _limits(found.receivers).items()):
        yield f"add limit {TABLE} {name} {_over(rate)}\n"
    yield from _elements("add", "senders", map(_sender, wanted.senders - found.senders))
    yield from _elements("add", "receivers", map(_receiver, wanted.receivers - found.receivers))


def _removed(found: BandwidthRules, wanted: BandwidthRules) -> Iterator[str]:
    yield from _elements("delete", "senders", [str(each.uids) for each in found.senders - wanted.senders])
    yield from _elements("delete", "receivers", [str(each.uids) for each in found.receivers - wanted.receivers])


def _limits_removed(found: BandwidthRules, wanted: BandwidthRules) -> Iterator[str]:
    for name in sorted(_limits(found.receivers).keys() - _limits(wanted.receivers).keys()):
        yield f"delete limit {TABLE} {name}\n"


def _limits(receivers: Iterable[Receiver]) -> dict[str, int]:
    return {limit_name(receiver): receiver.rate for receiver in receivers}


def _sender(sender: Sender) -> str:
    return f"{sender.uids} : {MAJOR:x}:{sender.number:x}"


def _receiver(receiver: Receiver) -> str:
    return f'{receiver.uids} : "{limit_name(receiver)}"'


def _elements(verb: str, name: str, elements: Iterable[str]) -> Iterator[str]:
    if texts := sorted(elements):
        yield f"{verb} element {TABLE} {name} {{ {', '.join(texts)} }}\n"
