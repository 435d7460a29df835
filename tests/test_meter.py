"""What the meter adds to the sampler's readings."""

from paas_isolate.linux.bpf.gate.traffic import Counted, Traffic
from paas_isolate.meter import with_traffic
from paas_isolate.metering.reading import Counters, Levels, Reading

ALICE = Reading("alice", 7, Counters(user=1), Levels())
WEB = ALICE._replace(path="alice/web", inode=8)
BOB = ALICE._replace(path="bob", inode=9)


def test_accounts_have_traffic_and_leaves_have_none() -> None:
    alice, web, bob = with_traffic([ALICE, WEB, BOB], Counted(5, {7: Traffic(10, 1, 20, 2)}))
    assert alice == ALICE._replace(counters=Counters(user=1, received=10, sent=20), traffic_map=5)
    assert web == WEB
    assert (bob.counters.received, bob.traffic_map) == (0, 5)  # it had no connection yet


def test_without_a_gate_nothing_is_known() -> None:
    assert with_traffic([ALICE], None) == [ALICE]
