"""One account read alone is the same as in a whole read, or is left to a whole read."""

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from paas_isolate.changes.desired import desired_static
from paas_isolate.changes.placement import Placement
from paas_isolate.daemon.account_pass import AccountChange, restricted_to, same_network
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.model.intent import Intent
from paas_isolate.model.world import DesiredWorld
from paas_isolate.source.account_reader import AccountReader
from paas_isolate.source.directory import SpecDirectory
from paas_isolate.spec.resolve_alone import dependencies
from tests.support.crowd import CROWD, MACHINE, Crowd

NAMES = ("alice", "bob", "carol", "dora")
"""dora is no user of the machine."""
LINES = (
    "plan: p",
    "plan: q",
    "plan: missing",
    "users: [alice]",
    "users: [bob]",
    "users: [carol, bob]",
    "users: [admin, carol]",
    "users: [dora]",
    "limits: {pids: 7, memory: 64M}",
    "limits: {memory: {max: 3G, min: 3G}}",
    "limits: {memory: 5 12M}",
    "limits: {cpu: 9000%}",
    "services: {web: {match: {user: $owner}, limits: {pids: 5}}}",
    "services: {web: {publish: 8300}}",
    "suspended: true",
    "renamed_from: bob",
    "renamed_from: zoe",
    "peers: [bob]",
    "peers: [alice, zoe]",
    "loopback: shared",
    "egress: deny",
    "address: 10.77.0.9",
    "private: {tmp: true}",
)
CONFIGS = ("", "network: {}\n", "network: {names: true}\n", "users: {without_account: plan p}\n", "default_plan: p\n")
PLANS = ("limits: {pids: 100}", "limits: {memory: {max: 3G, min: 2G}}", "limits: {memory: 9G}", "limits: {pids: x}")
CROWDS = tuple(
    Crowd({**{name: uid for name, uid in CROWD.users.items() if name != "alice"}, **more}, CROWD.groups, homes)
    for more, homes in (
        ({"alice": 1001}, {}),
        ({"alice": 1001}, {}),
        ({"dora": 1001}, {"dora": "/home/alice"}),
        ({"dora": 1001}, {}),
        ({}, {}),
        ({"alice": 1004, "dora": 1001}, {}),
    )
)
"""alice is renamed, deleted, followed by another person, or has another uid."""
CALM = ("plan: p", "limits: {pids: 7}", "services: {web: {publish: 8300}}", "suspended: true", "peers: [alice]")
FILE = st.one_of(
    st.lists(st.sampled_from(CALM), max_size=2, unique=True),
    st.lists(st.sampled_from(CALM), max_size=2, unique=True),
    st.one_of(st.none(), st.lists(st.sampled_from(LINES), max_size=3)),
)
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class NamedSpecFiles:
    """An /etc/paas-isolate; a file's lines are written with what names it before them."""

    def __init__(self, place: Path) -> None:
        self.etc, self.state = place / "etc", place / "state"
        for directory in (self.etc, self.etc / "plans.d", self.etc / "accounts.d"):
            directory.mkdir(mode=0o755)
        self.directory = SpecDirectory(str(self.etc), str(self.state), os.getuid())

    def plan(self, name: str, text: str) -> None:
        self._write(f"plans.d/{name}.yaml", f"plan: {name}\n{text}\n")

    def account(self, name: str, lines: list[str] | None) -> None:
        if lines is None:
            (self.etc / f"accounts.d/{name}.yaml").unlink(missing_ok=True)
        else:
            self._write(f"accounts.d/{name}.yaml", "\n".join([f"account: {name}", *lines, ""]))

    def configure(self, text: str) -> None:
        self._write("config.yaml", text)

    def load(self, people: Crowd = CROWD) -> Fleet:
        return self.directory.load(people, MACHINE)

    def _write(self, file: str, text: str) -> None:
        path = self.etc / file
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").chmod(0o644)
        path.with_suffix(".new").rename(path)


def world(fleet: Fleet) -> DesiredWorld:
    return desired_static(Intent(fleet, MACHINE, frozen=frozenset({"alice/web", "bob"})), device_of=lambda _: "254:0")


def one(fleet: Fleet, sold: Account) -> dict[str, object]:
    """What the cgroups of one account should be."""
    cgroups = world(restricted_to(fleet, sold)).cgroups
    return {path: knobs for path, knobs in cgroups.items() if tree.directory_of(path) == sold.directory}


@MANY
@given(
    config=st.sampled_from(CONFIGS),
    plans=st.tuples(st.sampled_from(PLANS), st.sampled_from(PLANS)),
    before=st.tuples(FILE, FILE, FILE, st.one_of(st.none(), FILE)),
    edits=st.lists(st.tuples(st.sampled_from(NAMES), FILE, st.sampled_from(CROWDS)), min_size=1, max_size=4),
)
def test_it_is_sold_as_everything_together_has_it(
    config: str,
    plans: tuple[str, str],
    before: tuple[list[str] | None, ...],
    edits: list[tuple[str, list[str] | None, Crowd]],
) -> None:
    """Edit after edit, as a daemon sees them: what it remembers is what a run that reads everything finds. When a user
    entry has changed, it reads everything before the next edit."""
    with tempfile.TemporaryDirectory() as directory:
        shelf = NamedSpecFiles(Path(directory))
        shelf.configure(config)
        for name, text in zip("pq", plans, strict=True):
            shelf.plan(name, text)
        for name, lines in zip(NAMES, before, strict=True):
            shelf.account(name, lines)
        fleet = shelf.load()
        places, tied = Placement(fleet), dependencies(fleet)
        single, known = AccountReader(shelf.directory), CROWD
        for name, lines, people in edits:
            if people is not known:
                known, fleet = people, shelf.load(people)
                places, tied = Placement(fleet), dependencies(fleet)
            shelf.account(name, lines)
            sold = single.sold(name, fleet, tied, people, MACHINE, places.owner)
            whole = shelf.load(people)
            event("alone" if sold else "together")
            if sold is None:
                fleet, places, tied = whole, Placement(whole), dependencies(whole)
                continue
            edit = AccountChange(fleet.accounts.get(name), sold)
            assert {**fleet.accounts, name: sold} == whole.accounts
            assert (fleet.on_last_good, fleet.complaints, fleet.removal_blocked) == (
                whole.on_last_good,
                whole.complaints,
                whole.removal_blocked,
            )
            assert (fleet.renamed, fleet.doubtful, fleet.revoked) == (whole.renamed, whole.doubtful, whole.revoked)
            assert (fleet.exempt, fleet.frontends, fleet.host) == (whole.exempt, whole.frontends, whole.host)
            there = world(whole).cgroups
            assert one(whole, sold) == {
                path: there[path] for path in there if tree.directory_of(path) == sold.directory
            }
            if same_network(edit, fleet):
                assert world(fleet).network == world(whole).network
            fleet, tied = fleet._replace(accounts={**fleet.accounts, name: sold}), tied.with_peers(sold.peers)
            places.replace(edit.before, sold)
            anew = Placement(whole)
            uids = range(1000, 1005)
            assert [places.account_of(uid) for uid in uids] == [anew.account_of(uid) for uid in uids]
            assert [places.owner(name) for name in NAMES] == [anew.owner(name) for name in NAMES]


def test_an_ordinary_edit_needs_nobody_else(tmp_path: Path) -> None:
    shelf = NamedSpecFiles(tmp_path)
    shelf.plan("p", PLANS[0])
    for name in NAMES[:3]:
        shelf.account(name, ["plan: p"])
    fleet = shelf.load()
    places, single = Placement(fleet), AccountReader(shelf.directory)
    shelf.account("alice", ["plan: p", "limits: {pids: 9}"])
    sold = single.sold("alice", fleet, dependencies(fleet), CROWD, MACHINE, places.owner)
    assert sold
    assert sold.limits == {"pids": 9}
    shelf.plan("p", "limits: {pids: 5}")
    shelf.account("bob", ["plan: p"])
    sold = single.sold("bob", fleet, dependencies(fleet), CROWD, MACHINE, places.owner)
    assert sold
    assert sold.limits == {"pids": 5}


def test_a_uid_that_was_an_accounts_without_a_file_is_judged_with_everything(tmp_path: Path) -> None:
    """Another person has it, and now an account of their own: what runs under the old one is to end."""
    shelf, people = NamedSpecFiles(tmp_path), Crowd({"dora": 1001})
    shelf.account("alice", [])
    shelf.load()
    shelf.account("alice", None)
    fleet = shelf.load(people)
    assert fleet.doubtful == {1001}
    shelf.account("dora", [])
    single, places = AccountReader(shelf.directory), Placement(fleet)
    assert single.sold("dora", fleet, dependencies(fleet), people, MACHINE, places.owner) is None
    assert shelf.load(people).revoked == {"alice": {1001}}
