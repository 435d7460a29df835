"""faults, on a ledger with two incidents."""

import pytest

from paas_isolate.ledger.writer import FaultNews
from paas_isolate.metering.faults import Fault, Kind, Level, Picture, Process, Taken
from tests.cli.test_json import told
from tests.support.command_line import CommandLine, document
from tests.support.ledger import WALL, Metered, owner, web

HOG = Process(1234, "php hog.php --token=\x1b[31mx", "alice", "web", "ann", 500 << 20, 1.5, "killed", 9.0)
IDLE = Process(1000, "sshd", "alice", "login", "ann", 5 << 20, 0.1, "sleeping", 900.0)


@pytest.fixture
def counted(place: CommandLine) -> CommandLine:
    place.person(root=True)
    metered = Metered(place.state)
    now = metered.take(0, web(1))
    killed = Fault(Kind.KILLED, Level.ACCOUNT, "alice", "web", "small", 0, WALL, 1, None, str(512 << 20))
    burnt = Fault(Kind.THROTTLED, Level.LEAF, "alice", "web", "small", 0, WALL, 1, 45_200_000, "50000 100000")
    faults = [killed, killed._replace(at=90_000, wall=WALL + 90_000), burnt]
    pictures = [Taken(*killed[:4], 0, Picture(WALL, (IDLE,), (HOG,)))]
    news = FaultNews(faults, pictures)
    metered.writer.write("b1", now, "UTC", metered.tally.unwritten(), owner, {"alice": "alice"}, (), news)
    metered.writer.close()
    place.config("metering: {time_zone: Europe/Berlin}\n")
    return place


def test_an_incident_a_line(counted: CommandLine) -> None:
    titles, _, killed, throttled = counted("faults --since 2026-09-01").stdout.splitlines()
    assert titles.split() == ["WHEN", "FOR", "ACCOUNT", "LEAF", "WHAT", "LIMIT", "OF", "LIMIT", "NUMBER", "PROCESS"]
    words = "2026-09-21 16:13:20 2m alice web memory killed account 512M 2 php hog.php --token=\\x1b[31mx (1234)"
    assert killed.split() == words.split()
    assert throttled.split() == [
        "2026-09-21",
        "16:13:20",
        "0s",
        "alice",
        "web",
        "CPU",
        "throttled",
        "leaf",
        "50%",
        "1",
        "(45.2s)",
        "-",
    ]


def test_faults_in_json(counted: CommandLine) -> None:
    killed, throttled = document(counted("faults --since 2026-09-01 --json"))
    assert killed.keys() | {"pictures"} == told("faults")
    assert killed["process"] == HOG._asdict()
    assert (killed["begin"], killed["end"]) == ("2026-09-21T16:13:20+02:00", "2026-09-21T16:14:50+02:00")
    assert (killed["kind"], killed["level"], killed["number"], killed["amount"]) == ("killed", "account", 2, None)
    assert (throttled["leaf"], throttled["amount"], throttled["process"]) == ("web", 45_200_000, None)


def test_pictures(counted: CommandLine) -> None:
    killed, throttled = document(counted("faults --since 2026-09-01 --json --pictures"))
    (picture,) = killed["pictures"]
    assert picture["time"] == "2026-09-21T16:13:20+02:00"
    assert (picture["processes"], picture["before"]) == ([IDLE._asdict()], [HOG._asdict()])
    assert throttled["pictures"] == []
    shown = counted("faults --since 2026-09-01 --pictures").stdout
    assert "processes at 16:13:20" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("words", "number"),
    [("alice", 2), ("--kind killed", 1), ("--kind refused", 0), ("--since 2026-09-22", 0)],
)
def test_questions(words: str, number: int, counted: CommandLine) -> None:
    since = "" if "--since" in words else "--since 2026-09-01"
    assert len(document(counted(f"faults {words} {since} --json"))) == number


def test_nothing(counted: CommandLine) -> None:
    assert counted("faults").stdout == "no limit was hit in this time\n"
    result = counted("faults bob")
    assert (result.exit_code, "no account bob was measured" in result.stderr) == (2, True)
    result = counted("faults --since 2999-01-01")
    assert (result.exit_code, "--since is 2999-01-01, which has not begun" in result.stderr) == (2, True)


def test_there_is_no_ledger(place: CommandLine) -> None:
    place.person(root=True)
    result = place("faults")
    assert result.exit_code == 5
    assert "there is no ledger yet" in result.stderr
