"""Which TCP connections end with a change of the rules: the ruleset judges only the first packet of each side."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from paas_isolate.changes.egress import denies
from paas_isolate.model.network import Address, Grant, Pools, RangeEgress, Rules, UidRange

Range = TypeVar("Range", RangeEgress, UidRange)


class Connection(NamedTuple):
    """One end of a TCP connection on this machine, at a socket of `uid`."""

    uid: int
    local: Address
    local_port: int
    remote: Address
    remote_port: int
    identity: bytes = b""
    """What the kernel tells this socket by from others with the same ends, such as the listener."""


def may_end_connections(wanted: Rules, found: Rules | None) -> bool:
    """Whether a change of the rules takes something from somebody. `found` is None where nothing is known of the rules
    before."""
    return (
        found is None
        or bool(
            found.owners - wanted.owners
            or found.peers - wanted.peers
            or found.frontends - wanted.frontends
            or wanted.egress - found.egress
            or wanted.range_egress - found.range_egress
        )
        or (found.translates and not wanted.translates)
    )


def ended_connections(
    connections: Sequence[Connection], wanted: Rules, found: Rules | None, pools: Pools
) -> Iterator[Connection]:
    """Those that are not allowed any more: within the pools by what is wanted; to other machines those of uids whose
    egress has changed, where the new one denies them; except for connections that came to published ports."""
    judge = _Judge(connections, wanted, found or Rules(), pools)
    return filter(judge.ends, connections)


class _Ranges(Generic[Range]):
    """Ranges of uids of which no two overlap."""

    def __init__(self, ranges: Iterable[Range]) -> None:
        self._ranges: list[Range] = sorted(ranges, key=lambda each: each.first)
        self._firsts: list[int] = [each.first for each in self._ranges]

    def around(self, uid: int) -> Range | None:
        at = bisect_right(self._firsts, uid) - 1
        return self._ranges[at] if at >= 0 and uid <= self._ranges[at].last else None


class _Judge:
    def __init__(self, connections: Sequence[Connection], wanted: Rules, found: Rules, pools: Pools) -> None:
        self._wanted = wanted
        self._in_pools = cache(lambda address: _has(pools, address))
        self._uids = {_ends(each): each.uid for each in connections}
        self._here = {each.local for each in connections}
        taken = (found.owners - wanted.owners) | (found.peers - wanted.peers)
        self._addresses_taken = {address for _, address in taken}
        self._served = {(each.address, each.to) for each in wanted.published | found.published}
        self._limited = {each.uid: each.egress for each in wanted.egress - found.egress}
        self._limited_ranges = _Ranges(wanted.range_egress - found.range_egress)
        self._subordinates = _Ranges(wanted.subordinates)

    def ends(self, connection: Connection) -> bool:
        uid, local, local_port, remote, remote_port, _ = connection
        if not uid:
            return False
        own = self._in_pools(local)
        if self._in_pools(remote):
            mirror = self._uids.get((remote, remote_port, local, local_port), 0)
            served = own and self._has(uid, local) and (not mirror or self._may_reach(mirror, local))
            return not self._may_reach(uid, remote) and not served
        if own and not self._has(uid, local):
            return True
        if remote in self._here:
            return False
        if own and not self._wanted.translates:
            return True
        return (local, local_port) not in self._served and self._is_denied(uid, remote, remote_port)

    def _may_reach(self, uid: int, address: Address) -> bool:
        """Of subordinate uids, only the gate knows whose they are: they lose an address with anybody who does."""
        grant = Grant(uid, address)
        if not uid or uid in self._wanted.frontends or grant in self._wanted.peers or grant in self._wanted.owners:
            return True
        return self._is_subordinate(uid) and address not in self._addresses_taken

    def _has(self, uid: int, address: Address) -> bool:
        return Grant(uid, address) in self._wanted.owners or self._is_subordinate(uid)

    def _is_subordinate(self, uid: int) -> bool:
        return self._subordinates.around(uid) is not None

    def _is_denied(self, uid: int, address: Address, port: int) -> bool:
        around = self._limited_ranges.around(uid)
        return any(
            denies(each, address, port) for each in (self._limited.get(uid, ()), around.egress if around else ())
        )


def _has(pools: Pools, address: Address) -> bool:
    from socket import AF_INET, AF_INET6, inet_pton

    return pools.has(inet_pton(AF_INET6 if ":" in address else AF_INET, address))


def _ends(connection: Connection) -> tuple[Address, int, Address, int]:
    return connection[1:5]
