"""The client of config/examples, against the interface on a real port."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from paas_isolate.control.table import VERBS
from paas_isolate.daemon.control import Request
from tests.support.paths import CONFIG
from tests.support.web.api_client import app_of
from tests.support.web.control_link import TAG, FakeDaemon
from tests.support.web.loopback import served

PROGRAM = CONFIG / "examples/web/paas_client.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    found = importlib.util.spec_from_file_location("paas_client", PROGRAM)
    assert found
    assert found.loader
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    made.__dict__["PAUSE"] = 0.05
    return made


@pytest.fixture(scope="module")
def daemon() -> FakeDaemon:
    return FakeDaemon()


@pytest.fixture(scope="module")
def address(daemon: FakeDaemon) -> Iterator[str]:
    with served(app_of(daemon)) as where:
        yield where


@pytest.fixture
def client(module: ModuleType, address: str) -> Callable[[str], Any]:
    return lambda login: module.Client(address, login)


def test_it_knows_each_verb(client: Callable[[str], Any]) -> None:
    root = client("root")
    names = {"account": "alice", "service": "web", "plan": "small", "token": "0123abcd"}
    for verb in VERBS:
        if verb.name != "events":
            given = {name: value for name, value in names.items() if f"{{{name}}}" in verb.path}
            needed = {each.name: each.example for each in verb.parameters if each.required and each.name not in given}
            body = b"plan: small\n" if verb.body else None
            assert root.ask(verb.name, body, **given, **needed)


def test_a_file_is_read_and_written(client: Callable[[str], Any], module: ModuleType, daemon: FakeDaemon) -> None:
    root = client("root")
    assert root.ask("usage", account="alice", from_="2026-10-01")["options"] == {"from": "2026-10-01"}
    tag = root.ask("file", account="alice")["etag"]
    assert root.ask("put", b"plan: big\n", account="alice", if_match=tag, dry_run="1")["steps"]
    assert root.ask("put", b"plan: big\n", account="alice", if_match=tag)
    assert daemon.files["alice"] == b"plan: big\n"
    with pytest.raises(module.RefusedError, match="412") as refused:
        root.ask("put", b"plan: x\n", account="alice", if_match=TAG.replace("0", "1"))
    assert refused.value.problem["exit_status"] == 3
    with pytest.raises(module.RefusedError, match=r"accounts.d/alice.yaml:2: found a tab"):
        root.ask("put", b"a:\n\tb\n", account="alice")
    with pytest.raises(module.RefusedError, match="403"):
        client("alice").ask("file", account="alice")
    with pytest.raises(module.RefusedError, match="401"):
        client("wrong").ask("who")


def test_events_go_on_after_a_break(client: Callable[[str], Any], daemon: FakeDaemon) -> None:
    """A client that has read the last event gets what happens meanwhile, too."""
    daemon.hub.publish("fault", "alice", "first")
    first = daemon.hub._last[-1][2]["id"]
    daemon.hub.publish("fault", "alice", "second")
    daemon.hub.publish("fault", "bob", "another's")
    daemon.hub.publish("fault", "alice", "third")
    events = client("alice").events(after=first)
    assert [next(events)["sentence"], next(events)["sentence"]] == ["second", "third"]
    events.close()


def test_what_takes_long_is_waited_for(
    client: Callable[[str], Any], module: ModuleType, daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[Request] = []
    monkeypatch.setitem(daemon.answers, "reconcile", held.append)
    done = lambda _: held[0].send(b'{"told":{"done":3}}\n')  # noqa: E731
    monkeypatch.setattr(module, "time", SimpleNamespace(**{**vars(time), "sleep": done}))
    assert client("root").ask("reconcile") == {"done": 3}


def test_it_is_a_command_too(address: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("alice\n")
    words = [sys.executable, str(PROGRAM), address, str(tmp_path / "token"), "usage", "account=alice", "period=day"]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(said.stdout)["options"] == {"period": "day"}
