"""Our table of nftables for bandwidth in this network namespace. Its text is in changes/bandwidth_ruleset.py."""

import json
from typing import Any, NamedTuple

from paas_isolate.changes.bandwidth_ruleset import (
    BURST,
    TABLE,
    change,
    limit_name,
    replacement,
    same_table,
    table,
)
from paas_isolate.changes.ruleset import number
from paas_isolate.errors import HostError
from paas_isolate.linux.network import nft
from paas_isolate.linux.network.nft import listing_of, parts_of, uid_range
from paas_isolate.model.bandwidth import MAJOR, BandwidthRules, Receiver, Sender
from paas_isolate.model.network import UidRange

_UNITS = {"bytes": 1, "kbytes": 1 << 10, "mbytes": 1 << 20}


class BandwidthListing(NamedTuple):
    """`whole`: every chain, rule and limit is as this version makes it."""

    whole: bool
    rules: BandwidthRules


def observe() -> BandwidthListing | None:
    """What the table holds; None when there is no such table, or nft cannot list it."""
    try:
        listing = listing_of(f"list table {TABLE}")
    except HostError:
        return None
    maps = {part["name"]: part.get("elem", []) for part in parts_of(listing, "map")}
    limits = {part["name"]: part for part in parts_of(listing, "limit")}
    senders = [Sender(uid_range(uids), _number(classid)) for uids, classid in maps.get("senders", [])]
    receivers = [_receiver(uid_range(uids), name) for uids, name in maps.get("receivers", [])]
    rules = BandwidthRules(frozenset(senders), frozenset(receivers))
    whole = (
        dict(maps.get("fingerprints", [])) == _made(rules, listing)
        and all(_intact(limits.get(limit_name(each)), each.rate) for each in rules.receivers)
        and limits.keys() == {limit_name(each) for each in rules.receivers}
    )
    return BandwidthListing(whole, rules)


def install(rules: BandwidthRules) -> None:
    """Replace the whole table in one transaction; a second stores in it the fingerprint of what nft lists then.
    HostError with nft's own words."""
    nft.run(replacement(rules))
    ((name, made),) = _made(rules, listing_of(f"list table {TABLE}")).items()
    nft.run(f"add element {TABLE} fingerprints {{ {name} : {made} }}\n")


def set_rules(wanted: BandwidthRules | None, found: BandwidthRules | None) -> None:
    """By element where `found` is what the table holds and needs the same table, else the whole table anew. HostError
    with nft's own words."""
    if wanted is None:
        nft.run(f"table {TABLE}\ndelete table {TABLE}\n")
    elif found is None or not same_table(wanted, found):
        install(wanted)
    elif text := change(wanted, found):
        nft.run(text)


def _made(rules: BandwidthRules, listing: list[dict[str, Any]]) -> dict[int, int]:
    """What the map `fingerprints` should hold: the fingerprint of the chains and rules as they are listed."""
    parts = [*parts_of(listing, "chain"), *parts_of(listing, "rule")]
    constant = [{key: value for key, value in part.items() if key != "handle"} for part in parts]
    return {number(table(rules)): number(json.dumps(constant, sort_keys=True))}


def _number(classid: str) -> int:
    """0 where it is no class of ours."""
    major, _, minor = classid.partition(":")
    return int(minor, 16) if major == f"{MAJOR:x}" and minor else 0


def _receiver(uids: UidRange, name: str) -> Receiver:
    """With 0 where the limit's name is none of ours."""
    match name.split("_"):
        case ["receives", number, rate] if number.isdecimal() and rate.isdecimal():
            return Receiver(uids, int(number), int(rate))
    return Receiver(uids, 0, 0)


def _intact(limit: dict[str, Any] | None, rate: int) -> bool:
    if limit is None:
        return False
    return (
        limit.get("inv") is True
        and limit["per"] == "second"
        and limit["rate"] * _UNITS.get(limit.get("rate_unit", ""), 0) == rate
        and limit.get("burst", 0) * _UNITS.get(limit.get("burst_unit", ""), 0) == BURST
    )
