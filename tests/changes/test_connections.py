"""Which connections end with a change of the rules."""

import pytest

from paas_isolate.changes.connections import Connection, ended_connections, may_end_connections
from paas_isolate.model.network import EgressAssignment, Grant, Pools, Published, RangeEgress, Rules, UidRange

POOLS = Pools("10.77.0.0/16", "fd77::/64")
ALICE, BOB, FRONT, SUBORDINATE = 1001, 1002, 33, 100_000
A, B, A6, WORLD, HERE = "10.77.0.1", "10.77.0.2", "fd77::1", "203.0.113.9", "192.0.2.1"
RULES = Rules(
    frozenset({Grant(ALICE, A), Grant(ALICE, A6), Grant(BOB, B)}),
    frozenset({Grant(BOB, A), Grant(BOB, A6)}),
    frozenset({FRONT}),
    frozenset({Published(8300, A, 80)}),
    subordinates=frozenset({UidRange(SUBORDINATE, SUBORDINATE + 9)}),
    translates=True,
)


def pair(client: int, source: str, server: int, address: str) -> list[Connection]:
    """Both ends of a connection within the machine."""
    return [Connection(client, source, 40_000, address, 80), Connection(server, address, 80, source, 40_000)]


INSIDE = {
    "own": pair(ALICE, A, ALICE, A),
    "localhost": pair(ALICE, "127.0.0.1", ALICE, A),
    "peer": pair(BOB, A, ALICE, A),
    "peer from its own": pair(BOB, B, ALICE, A),
    "peer, IPv6": pair(BOB, "fd77:7061:6174::1", ALICE, A6),
    "front end": pair(FRONT, A, ALICE, A),
    "root": pair(0, A, ALICE, A),
    "subordinate": pair(SUBORDINATE, A, SUBORDINATE + 1, A),
    "published": [Connection(ALICE, A, 80, WORLD, 5)],
    "not ours": pair(ALICE, HERE, 0, HERE),
    "out": [Connection(ALICE, HERE, 41_000, WORLD, 25)],
    "out, subordinate": [Connection(SUBORDINATE, HERE, 41_001, WORLD, 25)],
    "out from its own": [Connection(ALICE, A, 41_002, WORLD, 25)],
}
PEERS = {"peer", "peer from its own", "peer, IPv6"}
TO_ALICE = {name for name, ends in INSIDE.items() if A in (ends[0].local, ends[0].remote)}


@pytest.mark.parametrize(
    ("wanted", "ended"),
    [
        pytest.param(RULES, set(), id="nothing changes"),
        pytest.param(RULES._replace(peers=frozenset()), {*PEERS, "subordinate"}, id="no peers"),
        pytest.param(RULES._replace(frontends=frozenset()), {"front end"}, id="no front end"),
        pytest.param(
            RULES._replace(owners=frozenset({Grant(ALICE, A6), Grant(BOB, B)}), peers=frozenset({Grant(BOB, A6)})),
            TO_ALICE,
            id="an address is taken away",
        ),
        pytest.param(RULES._replace(translates=False), {"published", "out from its own"}, id="no translation"),
        pytest.param(
            RULES._replace(egress=frozenset({EgressAssignment(ALICE, ("deny smtp",))})),
            {"out", "out from its own"},
            id="an egress",
        ),
        pytest.param(
            RULES._replace(egress=frozenset({EgressAssignment(ALICE, ("allow smtp", "deny all"))})),
            set(),
            id="an egress that allows it",
        ),
        pytest.param(
            RULES._replace(range_egress=frozenset({RangeEgress(SUBORDINATE, SUBORDINATE, ("deny smtp",))})),
            {"out, subordinate"},
            id="an egress of subordinate uids",
        ),
    ],
)
def test_what_is_not_allowed_any_more_ends(wanted: Rules, ended: set[str]) -> None:
    everything = [end for ends in INSIDE.values() for end in ends]
    found = set(ended_connections(everything, wanted, RULES, POOLS))
    assert {name for name, ends in INSIDE.items() if found.intersection(ends)} == ended
    assert may_end_connections(wanted, RULES) or not ended


def test_where_nothing_is_known_of_before_what_is_wanted_counts() -> None:
    everything = [end for ends in INSIDE.values() for end in ends]
    assert may_end_connections(RULES, None)
    assert list(ended_connections(everything, RULES, None, POOLS)) == []
    stranger = [*pair(BOB, B, 1003, B), *pair(1003, A, ALICE, A)]
    assert list(ended_connections(stranger, RULES, None, POOLS)) == [stranger[1], stranger[2]]
