"""explain after real passes: what was changed."""

import json
from typing import Any

import pytest

from tests.support.kernel.host import NO_LIMIT, TestHost

pytestmark = pytest.mark.kernel

WEB = f"services: {{web: {{{NO_LIMIT}}}}}\n"


def metering(host: TestHost) -> None:
    host.configure("")
    with (host.etc / "config.yaml").open("a") as file:
        file.write("metering: {every: 1s}\n")


def explained(host: TestHost, *words: str) -> dict[str, Any]:
    done = host.run("explain", "alice", *words, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_was_changed_is_told(host: TestHost) -> None:
    metering(host)
    host.account("alice", WEB)
    assert host.run("reconcile").returncode == 0
    assert host.run("freeze", "alice").returncode == 0
    assert host.run("thaw", "alice").returncode == 0
    (host.place / "run/sampled").unlink(missing_ok=True)
    assert host.run("reconcile").returncode == 0
    (host.place / "run/sampled").unlink()
    assert host.run("reconcile").returncode == 0
    found = explained(host)
    assert found["findings"] == []
    said = [note.partition(": ")[2] for note in found["notes"] if note.startswith("Changed at ")]
    assert said == [
        "create users/alice.",
        "set cgroup.freeze of users/alice to 1 (was 0).",
        "set cgroup.freeze of users/alice to 0 (was 1).",
    ]
