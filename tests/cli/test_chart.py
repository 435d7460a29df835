"""chart, on a ledger of September 2026."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from paas_isolate.chart.metrics import METRICS
from paas_isolate.ledger.writer import LedgerWriter
from paas_isolate.metering.host import HostReading
from paas_isolate.metering.tally import Moment
from tests.support.command_line import CommandLine, document
from tests.support.ledger import MB, WALL, Metered, owner, web

PAGE = Path(__file__).resolve().parents[2] / "man" / "paas-isolate.8"
DAY = "2026-09-21"


@pytest.fixture
def counted(place: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """alice and her web have used half a core for an hour, until now."""
    place.person(root=True)
    metered = Metered(place.state)
    for minute in range(61):
        leaf = web(minute * 30_000_000, memory=256 * MB)
        metered.sampled(minute * 60, leaf._replace(path="alice", inode=3), leaf)
    metered.writer.close()
    monkeypatch.setattr("time.time_ns", lambda: (WALL + 3_600_000) * 1_000_000)
    place.config("metering: {time_zone: Europe/Berlin}\n")
    return place


@pytest.mark.parametrize("whose", ["alice", "alice/web", "--host"])
def test_a_picture_in_a_file(whose: str, counted: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "picture.svg"
    assert counted(f"chart {whose} --period {DAY} -o {path}").exit_code == 0
    tree = ElementTree.parse(path).getroot()
    assert tree[0].text == {"--host": "all accounts"}.get(whose, whose)
    assert "Europe/Berlin" in (tree[1].text or "")
    assert counted(f"chart {whose} --period {DAY} --out -").stdout == path.read_text()


def test_lines_of_characters(counted: CommandLine) -> None:
    shown = counted("chart alice --metric cpu --metric memory --metric io").stdout.splitlines()
    assert shown[0].startswith("alice: Sun 20 Sep 2026 17:13 to Mon 21 Sep 2026 17:13, Europe/Berlin")
    assert [line.split(",")[0] for line in shown[1::2]] == ["CPU", "Memory", "Disk"]
    assert "highest 0.5" in shown[2]
    assert "highest 256M" in shown[4]
    assert shown[5] == "Disk, bytes a second: not measured"


def test_json(counted: CommandLine) -> None:
    data = document(counted(f"chart alice --period {DAY} --json"))
    assert [*data] == ["account", "leaf", "from", "to", "time_zone", "metrics"]
    assert (data["from"], data["to"]) == ("2026-09-21T00:00:00+02:00", "2026-09-21T17:13:20+02:00")
    assert [*data["metrics"]] == [*METRICS]
    cpu = data["metrics"]["cpu"]
    assert [*cpu] == ["unit", "begin", "step_seconds", "limits", "values"]
    values = [value for value in cpu["values"]["used"] if value is not None]
    assert values == pytest.approx([0.5] * len(values))
    assert len(values) * cpu["step_seconds"] == pytest.approx(3600, abs=300)
    assert set(data["metrics"]["io"]["values"]["read"]) == {None}


def test_json_keys_are_those_of_the_manual(counted: CommandLine) -> None:
    data = document(counted("chart alice --metric cpu --json"))
    said = re.split(r"^\.Ss chart$", PAGE.read_text().partition(".Sh JSON OUTPUT")[2], flags=re.MULTILINE)[1]
    told = re.findall(r"^\.It Li (\S+) Ta ", said.partition(".Ss ")[0], flags=re.MULTILINE)
    assert told == [*data, *data["metrics"]["cpu"]]


def test_the_limit_of_now_is_told(counted: CommandLine) -> None:
    ours = counted.tree()
    (ours / "users/alice").mkdir(parents=True)
    (ours / "users/alice/memory.max").write_text(f"{512 * MB}\n")
    data = document(counted("chart alice --metric memory --json"))
    assert data["metrics"]["memory"]["limits"] == {"with cache": 512 * MB}
    assert "highest 256M of 512M" in counted("chart alice --metric memory").stdout


def test_what_the_machine_waited_for(counted: CommandLine) -> None:
    unknown = document(counted("chart --host --metric pressure --json"))["metrics"]["pressure"]["values"]
    assert {*unknown["for CPU"]} == {None}
    writer = LedgerWriter(str(counted.state / "ledger"), 1 << 40, print)
    writer.read()
    totals = [(60 * n, n * 30_000_000, n * 6_000_000, None) for n in range(61)]
    totals = [each for each in totals if not 900 < each[0] < 1800]  # a gap
    readings = [HostReading(at * 1000, cpu, 0, memory, 0, io, io) for at, cpu, memory, io in totals]
    now = Moment(3_600_000, WALL + 3_600_000)
    writer.write("b1", now, "UTC", [], owner, {}, host=readings)
    writer.close()
    pressure = document(counted("chart --host --metric pressure --json"))["metrics"]["pressure"]
    assert (pressure["unit"], pressure["step_seconds"], [*pressure["values"]]) == ("%", 120, ["for CPU", "for memory"])
    for label, percent in (("for CPU", 50), ("for memory", 10)):
        known = [value for value in pressure["values"][label] if value is not None]
        assert known == pytest.approx([percent] * len(known))
        assert len(known) * 120 == pytest.approx(3600 - 900, abs=240)
    shown = counted("chart --host --metric pressure").stdout
    assert "for CPU" in shown
    assert "highest 50%" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("chart --host --metric processes", "--metric is processes, which is not added up over accounts"),
        ("chart", "expected an account, or --host"),
        ("chart alice --host", "expected an account, or --host"),
        ("chart bob", "no account bob was measured"),
        ("chart alice/shop", "no leaf shop of alice was measured"),
        ("chart alice --period soon", "--period is soon; expected day, week, "),
        ("chart alice --period 2027-01", "--period is 2027-01, which has not begun"),
        ("chart alice --metric love", "'love' is not one of"),
    ],
)
def test_wrong_words(words: str, said: str, counted: CommandLine) -> None:
    result = counted(words)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_file_that_cannot_be_written(counted: CommandLine) -> None:
    result = counted("chart alice -o /nowhere/at/all.svg")
    assert result.exit_code == 1
    assert "/nowhere/at" in result.stderr
