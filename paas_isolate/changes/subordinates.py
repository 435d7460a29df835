"""Subordinate uids (subuid(5)) in the gate and the ruleset.

The ruleset knows them as ranges in sets of nft(8), which refuses ranges that overlap and lists all of such a set before
it changes any other. So neighbouring ranges become one: tools give them out without gaps.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.network import (
    SUBORDINATE_RANGES,
    Network,
    RangeEgress,
    Rules,
    Subordinates,
    UidRange,
)

Egress = tuple[str, ...]
Claim = tuple[UidRange, Egress]
"""The range of an account, and its egress."""


def with_subordinates(wanted: Network, observed: Network, fleet: Fleet) -> Network:
    """The desired network with the subordinate uids of the accounts' users. Without a gate they stay refused: in the
    ruleset alone nothing would keep one account's from another's addresses."""
    if not observed.subordinates or observed.gate_unsupported or wanted.rules is None or wanted.gate is None:
        return wanted
    accounts = [account for account in fleet.accounts.values() if account.addresses]
    own = {
        account.directory: ranges
        for account in accounts
        if (ranges := _governed(subordinate_ranges(account, observed.subordinates), fleet))
    }
    gate = {
        account.directory: Subordinates(min(account.uids.values()), own[account.directory])
        for account in accounts
        if account.directory in own and account.directory in observed.account_cgroups
    }
    claims = list(
        _disjoint((uids, _subordinate_egress(each.egress)) for each in accounts for uids in own.get(each.directory, ()))
    )
    rules = _with_ranges(wanted.rules, claims, claims)
    return wanted._replace(rules=rules, gate=wanted.gate._replace(subordinates=gate))


def subordinates_left(observed: Network, staying: Collection[str]) -> dict[str, Subordinates]:
    """Those of the account directories in `staying`, as the gate has them now."""
    own = observed.gate.subordinates if observed.gate else {}
    return {directory: known for directory, known in own.items() if directory in staying}


def with_ranges_left(rules: Rules, observed: Network, staying: Collection[str]) -> Rules:
    """The rules with the ranges of the account directories in `staying`, and the egress that these have now, except for
    what a desired account has."""
    left = sorted({uids for known in subordinates_left(observed, staying).values() for uids in known.ranges})
    if not left:
        return rules
    known = sorted(observed.rules.range_egress if observed.rules else ())
    claims = [(free, _egress_at(known, free.first)) for uids in left for free in _without(uids, rules.subordinates)]
    own = [(UidRange(first, last), egress) for first, last, egress in rules.range_egress]
    return _with_ranges(rules, [(uids, ()) for uids in rules.subordinates] + claims, own + claims)


def subordinate_ranges(account: Account, known: Mapping[str, tuple[UidRange, ...]]) -> tuple[UidRange, ...]:
    """The subordinate uids of the account's users; `known` has those of each user by login name or by uid in digits.
    Empty for an account without an address."""
    if not account.addresses:
        return ()
    return ranges_of(account.uids, known)


def is_subordinate(uid: int, fleet: Fleet, known: Mapping[str, tuple[UidRange, ...]]) -> bool:
    """Whether it is a subordinate uid of an account with an address; `known` is as for `subordinate_ranges`."""
    return uid > fleet.host.last_uid and any(
        first <= uid <= last
        for account in fleet.accounts.values()
        for first, last in subordinate_ranges(account, known)
    )


def ranges_of(users: Mapping[str, int], known: Mapping[str, tuple[UidRange, ...]]) -> tuple[UidRange, ...]:
    """The subordinate uids of users, who are given as login names with their uids."""
    return tuple(uids for name, uid in users.items() for uids in (*known.get(name, ()), *known.get(str(uid), ())))


def _governed(ranges: Sequence[UidRange], fleet: Fleet) -> tuple[UidRange, ...]:
    """The first ones above the uids of customers, as many as the gate holds."""
    return tuple(uids for uids in ranges if uids.first > fleet.host.last_uid)[:SUBORDINATE_RANGES]


def _subordinate_egress(egress: Egress) -> Egress:
    """A limit for each of 65,536 uids would be none: they are denied what is limited."""
    others = tuple(sentence for sentence in egress if not sentence.startswith("limit smtp "))
    return egress if others == egress else ("deny port 25", "deny port 465", "deny port 587", *others)


def _with_ranges(rules: Rules, every: Iterable[Claim], limited: Iterable[Claim]) -> Rules:
    return rules._replace(
        subordinates=frozenset([uids for uids, _ in _joined((uids, ()) for uids, _ in every)]),
        range_egress=frozenset(
            [RangeEgress(uids.first, uids.last, egress) for uids, egress in _joined(limited) if egress]
        ),
    )


def _disjoint(claims: Iterable[Claim]) -> Iterator[Claim]:
    """Of claims that overlap, the one with the lower first uid has what both claim."""
    free = 0
    for (first, last), egress in sorted(claims):
        if last >= free:
            yield UidRange(max(first, free), last), egress
            free = last + 1


def _joined(claims: Iterable[Claim]) -> list[Claim]:
    """Disjoint claims, where neighbours with the same egress are one."""
    joined: list[Claim] = []
    for uids, egress in sorted(claims):
        if joined and joined[-1][0].last + 1 == uids.first and joined[-1][1] == egress:
            joined[-1] = UidRange(joined[-1][0].first, uids.last), egress
        else:
            joined.append((uids, egress))
    return joined


def _without(uids: UidRange, taken: Iterable[UidRange]) -> Iterator[UidRange]:
    """What is left of a range."""
    first, last = uids
    for other in sorted(taken):
        if other.first <= last and first <= other.last:
            if first < other.first:
                yield UidRange(first, other.first - 1)
            first = other.last + 1
    if first <= last:
        yield UidRange(first, last)


def _egress_at(known: Sequence[RangeEgress], uid: int) -> Egress:
    """`known` is sorted, and disjoint."""
    at = bisect_right(known, uid, key=lambda each: each.first)
    return known[at - 1].egress if at and uid <= known[at - 1].last else ()
