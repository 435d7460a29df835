"""The desired bandwidth, and the steps to it."""

from bisect import bisect
from collections.abc import Collection, Iterator, Mapping

from paas_isolate.changes.subordinates import ranges_of
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.bandwidth import (
    CLASSES,
    MAJOR,
    REST,
    REST_RATE,
    Bandwidth,
    BandwidthRules,
    ClassKey,
    Interface,
    Receiver,
    Sender,
    SoldBandwidth,
)
from paas_isolate.model.limits import Limits
from paas_isolate.model.network import UidRange
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.bandwidth import AddRoot, RemoveClass, RemoveRoot, SetBandwidthRules, SetClass
from paas_isolate.units import format_rate

_NOTHING = BandwidthRules()
_HIGHEST = 2**32
OUT, IN = "network.out", "network.in"


def sells_bandwidth(limits: Limits) -> bool:
    """Whether one of the rates is limited; `unlimited` is not."""
    return isinstance(limits.get(OUT), int) or isinstance(limits.get(IN), int)


def _sold(account: Account) -> SoldBandwidth:
    return SoldBandwidth(account.uids, _bytes(account.limits, OUT), _bytes(account.limits, IN))


def _bytes(limits: Limits, name: str) -> int | None:
    bits = limits.get(name)
    return bits // 8 if isinstance(bits, int) else None


def rates_sold(account: Account) -> Iterator[str]:
    """A sentence, where it is sold bandwidth."""
    if sells_bandwidth(account.limits):
        rates = ((verb, account.limits.get(name)) for verb, name in (("sends", OUT), ("receives", IN)))
        limited = [f"{verb} {format_rate(rate)} at most" for verb, rate in rates if isinstance(rate, int)]
        yield f"bandwidth: {', '.join(limited)}"


def desired_bandwidth(fleet: Fleet) -> Bandwidth:
    """The bandwidth with `sold`."""
    accounts = fleet.accounts.values()
    return Bandwidth({each.directory: _sold(each) for each in accounts if sells_bandwidth(each.limits) and each.uids})


def bandwidth_now(desired: Bandwidth, observed: Bandwidth, left: BandwidthRules = _NOTHING) -> Bandwidth:
    """The desired bandwidth with all that follows from the interfaces. `left` are observed rules that stay, with their
    classes."""
    if observed.interfaces is None:
        return Bandwidth()
    numbers = _numbers(desired.sold)
    rates = {number: rate for directory, number in numbers.items() if (rate := desired.sold[directory].out) is not None}
    senders, receivers = set(left.senders), set(left.receivers)
    of_left = {each.uids for each in left.senders} | {each.uids for each in left.receivers}
    for uids, directory in _uids(desired.sold, observed.subordinate, of_left):
        if (number := numbers.get(directory)) is None:
            continue
        sold = desired.sold[directory]
        if sold.out is not None:
            senders.add(Sender(uids, number))
        if sold.into is not None:
            receivers.add(Receiver(uids, number, sold.into))
    roots = {name for name, each in observed.interfaces.items() if rates and each.routed and not each.foreign}
    classes = {ClassKey(name, number): rate for name in roots for number, rate in rates.items()}
    staying = {sender.number for sender in left.senders} - rates.keys()
    classes |= {key: rate for key, rate in observed.classes.items() if key.number in staying}
    roots |= {key.interface for key in classes}
    classes |= {ClassKey(name, REST): REST_RATE for name in roots}
    rules = BandwidthRules(frozenset(senders), frozenset(receivers))
    return Bandwidth(
        sold=desired.sold,
        interfaces={name: Interface(has_root=True) for name in roots},
        classes=classes,
        owners={number: directory for directory, number in numbers.items()},
        rules=rules if senders or receivers else None,
        has_rules=bool(senders or receivers),
    )


def left_rules(fleet: Fleet, observed: Bandwidth, staying: Collection[str]) -> BandwidthRules:
    """The observed rules of uids that no account has. They may be of accounts in `staying`, which have no
    specification."""
    if not staying or observed.rules is None:
        return _NOTHING
    known = {uid for account in fleet.accounts.values() for uid in account.uids.values()}
    senders, receivers = observed.rules
    numbers = {each.number for each in senders if each.uids.first in known}
    numbers |= {each.number for each in receivers if each.uids.first in known}
    return BandwidthRules(
        frozenset(each for each in senders if each.number not in numbers),
        frozenset(each for each in receivers if each.number not in numbers),
    )


def _uids(
    sold: Mapping[str, SoldBandwidth], subordinate: Mapping[str, tuple[UidRange, ...]], left: Collection[UidRange]
) -> Iterator[tuple[UidRange, str]]:
    """The uids of each account: of its users, then their subordinate ones. No uid is in two of the ranges, nor in one
    of `left`: nftables would refuse all of them."""
    own = [(UidRange(uid, uid), directory) for directory, each in sold.items() for uid in each.users.values()]
    more = [(uids, directory) for directory, each in sold.items() for uids in ranges_of(each.users, subordinate)]
    taken = sorted(left)
    for uids, directory in (*sorted(own), *sorted(more)):
        before = bisect(taken, (uids.last, _HIGHEST))
        if before == 0 or taken[before - 1].last < uids.first:
            taken.insert(before, uids)
            yield uids, directory


def _numbers(sold: Mapping[str, SoldBandwidth]) -> dict[str, int]:
    """A number of each account, which is the same at every look: from its lowest uid, or the next that is free."""
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for uid, directory in sorted((min(each.users.values()), directory) for directory, each in sold.items()):
        if len(taken) == CLASSES:
            break
        number = uid % CLASSES
        while number in taken:
            number = (number + 1) % CLASSES
        taken.add(number)
        numbers[directory] = number + 1
    return numbers


def unmet_bandwidth(desired: Bandwidth, observed: Bandwidth) -> dict[str, str]:
    """A text for each interface that cannot be shaped although an account is sold a rate, by `users network.out
    INTERFACE`."""
    if not any(sold.out is not None for sold in desired.sold.values()):
        return {}
    return {
        f"{tree.USERS} {OUT} {name}": "{}; to give that up: {}".format(*foreign_root(name, each.foreign))
        for name, each in (observed.interfaces or {}).items()
        if each.foreign
    }


def foreign_root(interface: str, kind: str) -> tuple[str, str]:
    """What is wrong with an interface whose root qdisc is not replaced, and the command that gives it up."""
    reason = "which has a queue for each CPU or ring" if kind == "mq" else "which somebody has set"
    text = f"what accounts send by {interface} cannot be limited: its root qdisc is {kind}, {reason}"
    return text, f"tc qdisc replace dev {interface} root handle {MAJOR:x}: htb default {REST:x}"


def bandwidth_steps(desired: Bandwidth, observed: Bandwidth) -> Iterator[Step]:
    if observed.interfaces is None or desired.interfaces is None:
        return
    for name in desired.interfaces:
        if not observed.interfaces[name].has_root:
            yield AddRoot(name)
    for key, rate in desired.classes.items():
        was = observed.classes.get(key)
        if was != rate:
            yield SetClass(key, rate, was, desired.owners.get(key.number, ""))
    if (desired.rules, desired.has_rules) != (observed.rules, observed.has_rules):
        yield SetBandwidthRules(desired.rules, observed.rules)
    kept = desired.interfaces.keys()
    for name, each in observed.interfaces.items():
        if each.has_root and name not in kept:
            yield RemoveRoot(name)
    for key in observed.classes:
        if key not in desired.classes and key.interface in kept:
            yield RemoveClass(key)
