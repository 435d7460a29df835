"""advise, on a ledger of the last days."""

import time

import pytest

from paas_isolate.metering.advice import Advice, Hurt, Need
from paas_isolate.metering.reading import Counters, Levels, Reading
from tests.support import ledger
from tests.support.command_line import CommandLine, document
from tests.support.ledger import MB, Metered

DAYS = 15


@pytest.fixture
def fortnight(place: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """alice used a third of a core all the time, in samples of two minutes."""
    monkeypatch.setattr(ledger, "WALL", int(time.time() - DAYS * 86_400) * 1000)
    place.person(root=True)
    place.config("metering: {}\n")
    place.write("plans.d/tiny.yaml", "plan: tiny\nlimits: {cpu: 20%, memory: 32M}\n")
    metered = Metered(place.state)
    for turn in range(DAYS * 720):
        counters = Counters(user=turn * 40_000_000, system=0)
        now = metered.take(turn * 120, Reading("alice", 3, counters, Levels(64 * MB, pids=5, own=40 * MB)))
        if turn % 30 == 29:
            metered.write(now)
        if turn % 720 == 719:
            while metered.rows("SELECT 1 FROM chunks WHERE hour < " + str(now.wall // 3_600_000)):
                metered.writer.tidy(now)
    metered.writer.close()
    return place


def test_advice(fortnight: CommandLine) -> None:
    data = document(fortnight("advise --json"))
    assert (data["total"], data["next"]) == (1, None)
    (advice,) = data["rows"]
    assert tuple(advice) == Advice._fields
    assert tuple(advice["need"]) == Need._fields
    assert (advice["account"], advice["plan"], advice["verdict"]) == ("alice", "small", "fits")
    assert advice["measured"] > 0.95
    assert advice["need"]["cpu"] == pytest.approx(100 / 3)
    assert advice["need"]["memory"] == 40 * MB
    assert advice["fitting"] == "small"
    shown = fortnight("advise").stdout.splitlines()
    assert shown[2].split()[:4] == ["alice", "small", "fits", "33%"]
    assert fortnight("advise alice").stdout.startswith("It needs 34 % CPU in 95 of 100 minutes")


def test_a_plan(fortnight: CommandLine) -> None:
    data = document(fortnight("advise --plan tiny --json"))
    (hurt,) = data["accounts"]
    assert data["plan"] == "tiny"
    assert tuple(hurt) == (*Hurt._fields, "hurt")
    assert hurt["hurt"]
    assert hurt["memory"]
    assert hurt["cpu_days"] >= 14
    assert fortnight("advise --plan tiny").stdout.splitlines()[0] == "alice (now: small)"
    assert "small would have hurt 0 of 1 accounts" in fortnight("advise alice --plan small").stdout
    assert "no account carol was measured" in fortnight("advise carol").stderr
    result = fortnight("advise --plan tinny")
    assert (result.exit_code, "did you mean tiny?" in result.stderr) == (2, True)
