"""Who hears of what happens, without a socket."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from paas_isolate.control.request import Caller
from paas_isolate.control.table import BY_NAME
from paas_isolate.daemon import event_hub
from paas_isolate.daemon.control import Request
from paas_isolate.daemon.event_hub import EventHub
from paas_isolate.metering.faults import Fault, Kind, Level

ALICE, BOB, ROOT = (Caller(uid, 1) for uid in (1001, 1002, 0))


class Listener:
    """A client that follows the events. `gone`: its connection was closed."""

    def __init__(self, hub: EventHub, caller: Caller, after: str = "") -> None:
        self.heard: list[Any] = []
        self.gone = False
        self.begin: list[Callable[[Callable[[bytes], bool]], None]] = []
        options = {"after": after} if after else {}
        request = Request(BY_NAME["events"], caller, caller.uid != 0, "", options, None, subscribe=self.begin.append)
        self.answer: Any = hub.subscribe(request)
        self.begin[0](self._hear)

    def _hear(self, line: bytes) -> bool:
        if not self.gone:
            self.heard.append(json.loads(line)["event"])
        return not self.gone

    @property
    def sentences(self) -> list[str]:
        return [event["sentence"] for event in self.heard]


@pytest.fixture
def hub() -> EventHub:
    made = EventHub()
    rights = {1001: ["alice"], 1002: ["bob"], 0: ["alice", "bob", ""]}
    made.may_hear = lambda caller, account: account in rights[caller.uid]
    return made


def test_each_hears_of_the_own_account(hub: EventHub) -> None:
    alice, bob, root = (Listener(hub, caller) for caller in (ALICE, BOB, ROOT))
    hub.publish("killed", "alice", "one")
    hub.publish("killed", "bob", "two")
    hub.publish("changed", "", "three")
    assert (alice.sentences, bob.sentences, root.sentences) == (["one"], ["two"], ["one", "two", "three"])
    assert alice.heard[0].keys() == {"id", "time", "kind", "account", "sentence"}


def test_who_comes_back_gets_what_was_missed(hub: EventHub) -> None:
    first = Listener(hub, ALICE)
    hub.publish("killed", "alice", "one")
    hub.publish("killed", "bob", "not hers")
    hub.publish("killed", "alice", "two")
    again = Listener(hub, ALICE, after=first.heard[0]["id"]).answer
    assert [event["sentence"] for event in again["events"]] == ["two"]
    assert (again["missing"], again["last"]) == (False, again["events"][-1]["id"])
    assert Listener(hub, ALICE, after=again["last"]).answer["events"] == []
    assert Listener(hub, ALICE).answer["events"] == []


@pytest.mark.parametrize("after", ["00000000.1", "{run}.999"])
def test_who_cannot_know_what_was_missed_is_told(hub: EventHub, after: str) -> None:
    hub.publish("killed", "alice", "one")
    run = Listener(hub, ALICE).answer["last"].partition(".")[0]
    again = Listener(hub, ALICE, after=after.format(run=run)).answer
    assert again["missing"]
    assert [event["sentence"] for event in again["events"]] == ["one"]


def test_what_is_too_long_ago_is_missing(hub: EventHub) -> None:
    last = Listener(hub, ALICE).answer["last"]
    for number in range(event_hub.KEPT + 1):
        hub.publish("killed", "alice", str(number))
    again = Listener(hub, ALICE, after=last).answer
    assert (again["missing"], len(again["events"])) == (True, event_hub.KEPT)


def test_rights_are_looked_at_with_each_event(hub: EventHub) -> None:
    root = Listener(hub, ROOT)
    hub.may_hear = lambda *_: False
    hub.publish("killed", "alice", "one")
    assert root.heard == []


def test_who_has_gone_is_forgotten(hub: EventHub) -> None:
    root = Listener(hub, ROOT)
    root.gone = True
    hub.publish("killed", "alice", "one")
    assert hub._subscribers == []


def test_faults_become_events(hub: EventHub) -> None:
    root = Listener(hub, ROOT)
    hub.hear_faults([Fault(Kind.KILLED, Level.LEAF, "alice", "web", "", 0, 0, 3)])
    (event,) = root.heard
    assert (event["kind"], event["sentence"], event["leaf"]) == ("killed", "memory killed 3 times", "web")
