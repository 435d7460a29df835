"""explain, on a ledger that a test makes up."""

import re
import time
from contextlib import closing

import pytest

from paas_isolate.ledger import faults, steps
from paas_isolate.ledger.database import open_for_writing
from paas_isolate.metering.faults import Fault, Kind, Level, Picture, Process, Taken
from paas_isolate.metering.host import HostReading
from paas_isolate.metering.past import Change
from paas_isolate.metering.reading import Counters, Levels, Reading
from tests.support import ledger
from tests.support.command_line import CommandLine, document
from tests.support.ledger import MB, Metered

NOW = int(time.time())
KEYS = {"account", "from", "to", "time_zone", "measured_seconds", "summary", "findings", "notes"}


def reading(path: str, user: int, throttled: int = 0, waited: int = 0) -> Reading:
    inode = hash(path) & 0xFFFF
    return Reading(path, inode, Counters(user=user, system=0, throttled=throttled, cpu_some=waited), Levels(64 * MB))


@pytest.fixture
def slow(place: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """For an hour until now alice has used 100 % CPU and wanted 150, bob 30, and the machine was short of it."""
    monkeypatch.setattr(ledger, "WALL", (NOW - 3600) * 1000)
    place.person(root=True)
    place.config("metering: {}\n")
    metered = Metered(place.state)
    for minute in range(60):
        cpu = minute * 60_000_000
        now = metered.take(minute * 60, reading("alice", cpu, cpu // 2, cpu // 2), reading("bob", cpu * 3 // 10))
        pressure = HostReading(now.at, cpu // 2, 0, 0, 0, 0, 0)
        metered.writer.write(
            "b1", now, "UTC", metered.tally.unwritten(), ledger.owner, {}, metered.tally.times, host=[pressure]
        )
        metered.tally.wrote()
    metered.writer.close()
    return place


def throttled(place: CommandLine) -> None:
    """From the 40th to the 43rd minute."""
    with closing(open_for_writing(str(place.state / "ledger"), pytest.fail)) as connection:
        first = Fault(Kind.THROTTLED, Level.ACCOUNT, "alice", "", "small", 0, 0, 1, 30_000_000, "100000 100000")
        rows = [first._replace(at=n * 60_000, wall=ledger.WALL + n * 60_000) for n in range(40, 44)]
        faults.add(connection, 1, rows)
        process = Process(7, "/usr/bin/php-cgi", "alice", "web", "alice", MB, 99.0, "running", 100.0)
        picture = Picture(ledger.WALL + 41 * 60_000, (process,))
        faults.add_pictures(connection, 1, [Taken(Kind.THROTTLED, Level.ACCOUNT, "alice", "", 41 * 60_000, picture)])
    lowered = Change(
        ledger.WALL + 30 * 60_000,
        "alice",
        "",
        "cpu.max",
        "150000 100000",
        "100000 100000",
        "set cpu.max of users/alice",
    )
    steps.keep(str(place.state / "ledger"), "b1", 0, [lowered], pytest.fail)


def test_an_incident(slow: CommandLine) -> None:
    throttled(slow)
    data = document(slow("explain alice --json"))
    assert data.keys() == KEYS
    (finding,) = data["findings"]
    assert (finding["kind"], finding["level"], finding["limit"]) == ("throttled", "account", "100000 100000")
    said = finding["sentences"]
    assert data["summary"] == said[0]
    assert said[0].endswith("it used all of its 100 % CPU; php-cgi took most of it.")
    assert "The machine itself was short of CPU time: some of its programs waited for 50% of the time." in said
    assert "Of the other accounts these used most of it: bob" in " ".join(said)
    assert any(sentence.startswith("Enough would have been 150 % CPU") for sentence in said)
    assert any("This limit was lowered" in sentence and "it was 150 % CPU before" in sentence for sentence in said)
    assert data["measured_seconds"] == pytest.approx(59 * 60)
    assert data["notes"] == ["Only 4% of the time was measured; of the rest nothing is known."]


def test_as_text(slow: CommandLine) -> None:
    throttled(slow)
    shown = slow("explain alice")
    assert shown.exit_code == 0
    assert "Slow between " in shown.stdout.splitlines()[0]
    assert shown.stdout.splitlines()[-1].startswith("Looked at: alice, from ")


def test_a_customer_learns_nothing_of_others(slow: CommandLine) -> None:
    """Neither of their names and processes, nor of what is configured for all."""
    throttled(slow)
    with closing(open_for_writing(str(slow.state / "ledger"), pytest.fail)) as connection:
        at = ledger.WALL + 50 * 60_000
        faults.add(connection, 1, [Fault(Kind.KILLED, Level.ALL, "", "", "", 50 * 60_000, at, 1, None, "8589934592")])
        theirs = Process(8, "/usr/bin/perl secret", "bob", "web", "bob", MB, 9.0, "killed", 10.0)
        picture = Picture(at, (), (theirs,))
        faults.add_pictures(connection, 1, [Taken(Kind.KILLED, Level.ALL, "", "", 50 * 60_000, picture)])
    change = Change(at - 1000, "", "", "memory.max", "1", "2", "set memory.max of users to 2")
    steps.keep(str(slow.state / "ledger"), "b1", 0, [change], pytest.fail)
    whole, own = slow("explain alice --json").stdout, slow("explain alice --json --for-customer").stdout
    for secret in ("bob", "perl", "config.yaml", "of users to 2"):
        assert secret in whole
        assert secret not in own
    assert re.search(r"Other accounts used much of it: \d+ % CPU\.", own)
    assert "php-cgi" in own


def test_arguments_are_left_out(slow: CommandLine) -> None:
    with closing(open_for_writing(str(slow.state / "ledger"), pytest.fail)) as connection:
        at = ledger.WALL + 50 * 60_000
        fault = Fault(Kind.KILLED, Level.ACCOUNT, "alice", "", "small", 50 * 60_000, at, 1, None, str(MB))
        faults.add(connection, 1, [fault])
        process = Process(8, "/usr/bin/php secret --password=hunter2", "alice", "web", "alice", MB, 9.0, "killed", 10.0)
        taken = Taken(Kind.KILLED, Level.ACCOUNT, "alice", "", 50 * 60_000, Picture(at, (process,), (process,)))
        faults.add_pictures(connection, 1, [taken])
    assert "hunter2" in slow("faults alice --json --pictures").stdout
    for words in ("faults alice --json --pictures", "faults alice --pictures", "explain alice --json"):
        shown = slow(f"{words} --no-command-lines").stdout
        assert "secret" not in shown
        assert "php" in shown


def test_around_a_time(slow: CommandLine) -> None:
    throttled(slow)
    moment = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(NOW - 3600 + 42 * 60))
    assert len(document(slow(f"explain alice --at {moment} --json"))["findings"]) == 1
    before = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(NOW - 3600 - 3600))
    found = document(slow(f"explain alice --at {before} --json"))
    assert found["summary"].startswith("Nothing is known: alice was not measured between ")


def test_who_waits_without_a_limit(slow: CommandLine) -> None:
    """alice's own limit made it wait, bob's did not: but bob did not wait at all."""
    assert document(slow("explain bob --json"))["summary"].startswith("Nothing was found: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("carol", "no account carol was measured"),
        ("alice --at noon", "--at is noon; expected a time such as 14:05"),
        ("alice --at 2999-01-01", "expected a time that has passed"),
    ],
)
def test_wrong_words(words: str, said: str, slow: CommandLine) -> None:
    result = slow(f"explain {words}")
    assert result.exit_code == 2
    assert said in result.stderr
