"""What is remembered of the ruleset: a look writes nothing, and what may be stale is never believed."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from paas_isolate.changes.ruleset import table_version
from paas_isolate.linux.bpf.gate.gate import AttachPoints, BpfGate
from paas_isolate.linux.network import host, nfnetlink, nft, ruleset_cache
from paas_isolate.linux.network.hosts import HostsFile
from paas_isolate.linux.network.links import Links
from paas_isolate.model.network import Gate, Grant, Polled, Pools, PreparedRuleset, Rules, UidRange

POOLS = Pools("10.77.0.0/16", "fd77:7061:6173::/64")
ALICE = Rules(owners=frozenset({Grant(1001, "10.77.0.1")}))
BOTH = Rules(owners=ALICE.owners | {Grant(1002, "10.77.0.2")})


class Kernel:
    """Of nftables what the port sees: our table, and how many transactions there were."""

    def __init__(self) -> None:
        self.rules: Rules | None = None
        self.whole = True
        self.generation = 5
        self.lists = 0
        self.meanwhile: Callable[[], None] = lambda: None
        """What somebody else does while a command of ours is under way."""

    def transaction(self) -> None:
        self.generation += 1

    def observe(self) -> nft.Listing | None:
        self.lists += 1
        self.meanwhile()
        return nft.Listing(self.whole, self.rules) if self.rules is not None else None

    def install(self, rules: Rules) -> int:
        self.rules = rules
        self.generation += 2
        self.meanwhile()
        return 2

    def install_rendered(self, rendered: bytes) -> None:
        self.rules = ALICE
        self.generation += 1

    def change(self, wanted: Rules, found: Rules) -> int:
        self.rules = wanted
        self.generation += 1
        return 1

    def remove(self) -> None:
        self.rules = None
        self.generation += 1


class Machine:
    def __init__(self, place: Path) -> None:
        self.kernel = Kernel()
        self.run, self.state = place / "run", place / "state"
        for directory in (self.run, self.state):
            directory.mkdir()
        self.spots = AttachPoints(str(place / "pins"), str(place), str(place))

    def port(self) -> host.HostNetwork:
        """As a new run has it."""
        return host.HostNetwork(POOLS, str(self.run), str(self.state), self.spots, frozenset(), lambda uid: False)

    def files(self) -> dict[str, tuple[bytes, int]]:
        both = (*self.run.iterdir(), *self.state.iterdir())
        return {str(file): (file.read_bytes(), file.stat().st_mtime_ns) for file in both}

    def look(self) -> Rules | None:
        """By a command that only looks."""
        before = self.files()
        rules = self.port().observe().rules
        assert self.files() == before
        return rules


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    kernel = made.kernel
    monkeypatch.setattr(nft, "Nft", lambda pools: kernel)
    monkeypatch.setattr(nfnetlink, "generation", lambda: kernel.generation)
    monkeypatch.setattr(Links, "observe", lambda self: {})
    monkeypatch.setattr(HostsFile, "observe", lambda self: ())
    monkeypatch.setattr(BpfGate, "unable", lambda self: "not here")
    return made


def passed(machine: Machine, wanted: Rules | None) -> int:
    """One pass, which looks again at its end; how often the table was listed."""
    before, port = machine.kernel.lists, machine.port()
    found = port.observe()
    if found.rules != wanted:
        port.set_rules(wanted, found.rules)
        assert port.observe().rules == wanted
    port.remember()
    return machine.kernel.lists - before


def test_a_look_writes_nothing_whatever_it_finds(machine: Machine) -> None:
    assert machine.look() is None
    machine.kernel.rules = ALICE
    assert machine.look() == ALICE
    assert machine.files() == {}
    passed(machine, BOTH)
    assert machine.look() == BOTH
    machine.kernel.transaction()
    assert machine.look() == BOTH
    machine.kernel.whole = False
    machine.kernel.transaction()
    assert machine.look() is None


def test_after_a_pass_nothing_is_listed(machine: Machine) -> None:
    assert passed(machine, ALICE) == 1  # nothing was known before it
    assert passed(machine, ALICE) == 0
    assert passed(machine, BOTH) == 0
    assert machine.look() == BOTH
    assert passed(machine, None) == 1  # of no table nothing is kept
    assert passed(machine, BOTH) == 1
    assert passed(machine, BOTH) == 0


def test_a_transaction_of_somebody_else_costs_one_listing(machine: Machine) -> None:
    passed(machine, ALICE)
    machine.kernel.transaction()
    machine.look()
    assert passed(machine, ALICE) == 1
    assert passed(machine, ALICE) == 0


def test_what_somebody_changes_is_seen(machine: Machine) -> None:
    passed(machine, BOTH)
    machine.kernel.rules = ALICE
    machine.kernel.transaction()
    assert machine.look() == ALICE
    passed(machine, BOTH)
    assert machine.kernel.rules == BOTH


def test_a_listing_during_which_somebody_changes_something_is_not_kept(machine: Machine) -> None:
    machine.kernel.rules = ALICE
    machine.kernel.meanwhile = machine.kernel.transaction
    port = machine.port()
    port.observe()
    port.remember()
    assert machine.files() == {}


def test_what_is_made_while_somebody_changes_something_is_not_believed(machine: Machine) -> None:
    machine.kernel.meanwhile = machine.kernel.transaction
    port = machine.port()
    port.set_rules(ALICE, None)
    assert not list(machine.run.iterdir())
    assert list(machine.state.iterdir())


def test_a_change_of_what_somebody_changed_after_the_look_is_not_believed(machine: Machine) -> None:
    passed(machine, ALICE)
    port = machine.port()
    found = port.observe().rules
    machine.kernel.transaction()
    port.set_rules(BOTH, found)
    assert not list(machine.run.iterdir())
    machine.kernel.rules = ALICE  # say, for an element of Bob's was taken away in between
    assert machine.look() == ALICE


def test_what_was_prepared_is_known_when_it_is_installed(machine: Machine) -> None:
    machine.port().install_prepared(PreparedRuleset(b"", ALICE, Polled()))
    assert machine.look() == ALICE
    assert machine.kernel.lists == 0


def test_the_gate_is_observed_with_the_cgroups_that_were_listed_for_the_accounts(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cgroups of accounts are listed only where a user has subordinate uids and there can be a gate."""
    given: list[Mapping[bytes, str] | None] = []

    def observe(_: BpfGate, cgroups: Mapping[bytes, str] | None) -> Gate:
        given.append(cgroups)
        return Gate()

    known = {"alice": (UidRange(100_000, 165_535),)}
    (Path(machine.spots.users) / "alice").mkdir()
    monkeypatch.setattr(host, "subordinate_uids", lambda: known)
    assert not machine.port().observe().account_cgroups
    monkeypatch.setattr(BpfGate, "unable", lambda self: "")
    monkeypatch.setattr(BpfGate, "observe", observe)
    found = machine.port().observe()
    assert found.account_cgroups == {"alice", "run", "state"}
    assert found.subordinates == known
    assert given[0] is not None
    assert {*given[0].values()} == found.account_cgroups
    monkeypatch.setattr(host, "subordinate_uids", dict)
    assert not machine.port().observe().account_cgroups
    assert given[1:] == [None]


def test_without_nftables_nothing_is_remembered(machine: Machine) -> None:
    machine.kernel.rules, machine.kernel.generation = ALICE, 0
    port = machine.port()
    port.observe()
    port.remember()
    assert machine.files() == {}


def test_a_directory_that_cannot_be_written_is_no_error(machine: Machine) -> None:
    machine.kernel.rules = ALICE
    port = machine.port()
    port.observe()
    machine.run.rmdir()
    port.remember()


def test_a_damaged_copy_for_the_next_boot_is_written_anew_after_a_listing(machine: Machine) -> None:
    passed(machine, ALICE)
    copy = machine.state / "ruleset"
    copy.write_bytes(copy.read_bytes()[:-1])
    machine.kernel.transaction()
    passed(machine, ALICE)
    assert ruleset_cache.load(str(copy)) == (ruleset_cache.CacheKey(table_version(), POOLS), ALICE)
