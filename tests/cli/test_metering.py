"""usage and bill, on a ledger of September 2026."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal

import pytest

from paas_isolate.chart.sparkline import BLOCKS
from paas_isolate.cli.bill import _MEANING
from paas_isolate.meter import COUNTING
from paas_isolate.metering.bill import Line
from paas_isolate.metering.report import TOPS, plain
from paas_isolate.metering.use import Use
from tests.support.command_line import CommandLine, document
from tests.support.ledger import MB, Metered, web

PRICES = "metering: {prices: {core_hour: 0.5, gb_hour: 2}}\n"


@pytest.fixture
def counted(place: CommandLine) -> CommandLine:
    """alice has used one core for two hours, half of it in her web; one process was killed, in web."""
    place.person(root=True)
    metered = Metered(place.state)
    for minute in range(121):
        own = web(minute * 60_000_000, memory=512 * MB)
        leaf = web(minute * 30_000_000, memory=256 * MB)
        leaf = leaf._replace(counters=leaf.counters._replace(killed=int(minute > 90)))
        metered.sampled(minute * 60, own._replace(path="alice", inode=3), leaf)
    metered.writer.close()
    place.config(PRICES)
    return place


def test_usage_in_json(counted: CommandLine) -> None:
    data = document(counted("usage --period 2026-09 --json"))
    assert (data["from"], data["to"], data["time_zone"]) == ("2026-09-01", "2026-09-30", "UTC")
    (row,) = data["rows"]
    assert row.keys() == {"account", "leaf", "plan", "time"} | plain(Use()).keys()
    assert (row["account"], row["leaf"], row["plan"], row["time"]) == ("alice", "", "small", "")
    assert (row["cpu_seconds"], row["measured_seconds"], row["memory_gb_hours"]) == (7200, 7200, 1)
    assert row["read"] is row["frozen_seconds"] is None


@pytest.mark.parametrize(
    ("words", "times"),
    [
        ("--by hour", ["2026-09-21T14:00+00:00", "2026-09-21T15:00+00:00", "2026-09-21T16:00+00:00"]),
        ("--by day", ["2026-09-21"]),
        ("--by month", ["2026-09"]),
        ("--by leaf", ["", ""]),
        ("--top cpu", [""]),
        ("--top killed", []),
    ],
)
def test_usage_by(words: str, times: list[str], counted: CommandLine) -> None:
    rows = document(counted(f"usage --period 2026-09-21 {words} --json"))["rows"]
    assert [row["time"] for row in rows] == times


@pytest.mark.parametrize("top", TOPS)
def test_usage_top_of_everything(top: str, counted: CommandLine) -> None:
    assert counted(f"usage --from 2026-09-01 --to 2026-09-30 --top {top}").exit_code == 0


def test_usage_as_text_and_csv(counted: CommandLine) -> None:
    shown = counted("usage alice --period 2026-09 --by leaf").stdout.splitlines()
    assert shown[0].split()[:5] == ["ACCOUNT", "LEAF", "PLAN", "CPU", "TIME"]
    assert shown[3].split()[:5] == ["alice", "web", "small", "1.0h", "256M"]
    assert shown[3].rstrip().endswith("1 memory killed")
    rows = list(csv.DictReader(io.StringIO(counted("usage --period 2026-09 --csv").stdout)))
    assert [(row["account"], row["cpu_seconds"], row["read"]) for row in rows] == [("alice", "7200.0", "")]


@pytest.mark.parametrize(
    ("words", "title", "lines"),
    [
        ("alice --period 2026-09-21", "CPU BY HOUR", ["▆█▃"]),
        ("--period 2026-09-21 --by leaf", "CPU BY HOUR", ["▆█▃", "▆█▃"]),
        ("--from 2026-09-01 --to 2026-09-21", "CPU BY DAY", ["█"]),
        ("--period 2026-09-21 --top memory", "MEMORY BY HOUR", ["▆█▃"]),
        ("--period 2026-09-21 --by-label reseller", "CPU BY HOUR", ["▆█▃"]),
    ],
)
def test_usage_over_time(words: str, title: str, lines: list[str], counted: CommandLine) -> None:
    titles, _, *shown = counted(f"usage {words} --sparkline").stdout.splitlines()
    assert f"  {title} " in titles
    assert ["".join(letter for letter in line if letter in BLOCKS) for line in shown] == lines
    assert "█" not in counted(f"usage {words} --sparkline --csv").stdout
    assert document(counted(f"usage {words} --sparkline --json")) == document(counted(f"usage {words} --json"))


def test_usage_over_time_has_blanks_where_nothing_was_measured(counted: CommandLine) -> None:
    titles, _, shown = counted("usage --period 2026-09-21 --sparkline").stdout.splitlines()
    place = titles.index("CPU BY HOUR")
    assert shown[place : place + 24] == f"{'':14}▆█▃{'':7}"
    wrong = counted("usage --by hour --sparkline")
    assert (wrong.exit_code, "expected --sparkline, or --by hour" in wrong.stderr) == (2, True)


@pytest.fixture
def labelled(place: CommandLine) -> CommandLine:
    """alice and carol are of the reseller north, bob is of nobody. All have used a core for an hour."""
    place.person(root=True)
    metered = Metered(place.state)
    metered.labels = {"alice": {"reseller": "north"}, "carol": {"reseller": "north"}, "bob": {"kind": "own"}}
    for minute in range(61):
        metered.sampled(
            minute * 60, *(web(minute * 60_000_000)._replace(path=name) for name in ("alice", "bob", "carol"))
        )
    metered.writer.close()
    place.config(PRICES)
    return place


def test_usage_by_label(labelled: CommandLine) -> None:
    nobody, north = document(labelled("usage --period 2026-09 --by-label reseller --json"))["rows"]
    assert {key: north[key] for key in ("label", "value", "accounts", "time", "cpu_seconds")} == {
        "label": "reseller",
        "value": "north",
        "accounts": 2,
        "time": "",
        "cpu_seconds": 7200,
    }
    assert (nobody["value"], nobody["accounts"], nobody["cpu_seconds"]) == ("", 1, 3600)
    shown = labelled("usage --period 2026-09 --by-label reseller --by day").stdout.splitlines()
    assert shown[0].split()[:4] == ["RESELLER", "ACCOUNTS", "TIME", "CPU"]
    assert shown[3].split()[:4] == ["north", "2", "2026-09-21", "2.0h"]
    assert labelled("usage --period 2026-09 --by-label reseller --csv").stdout.startswith("label,value,accounts,time,")


def test_usage_with_a_label(labelled: CommandLine) -> None:
    def names(words: str) -> list[str]:
        return [row["account"] for row in document(labelled(f"usage --period 2026-09 {words} --json"))["rows"]]

    assert names("--label reseller=north") == ["alice", "carol"]
    assert names("--label reseller=north --label kind=own") == names("--label kind=") == []


def test_a_bill_by_label_adds_up_its_lines(labelled: CommandLine) -> None:
    assert labelled("bill --month 2026-09 --by-label reseller --csv").stdout == (
        "label,value,accounts,core_hours,gb_hours,gb_read,gb_written,gb_received,gb_sent,suspended_hours,measured,amount\n"
        "reseller,,1,1.0000,0.0010,,,,,,0.0014,0.50\n"
        "reseller,north,2,2.0000,0.0020,,,,,,0.0028,1.00\n"
    )
    data = document(labelled("bill --month 2026-09 --label reseller=north --json"))
    assert [line["account"] for line in data["lines"]] == ["alice", "carol"]
    assert data["amount"] == "1.00"
    assert "all accounts: 1.50" in labelled("bill --month 2026-09 --by-label reseller").stdout


def test_usage_of_today_is_empty(counted: CommandLine) -> None:
    assert counted("usage").stdout == "nothing was measured in this time\n"


def test_bill(counted: CommandLine) -> None:
    data = document(counted("bill --month 2026-09 --json"))
    assert {name: data[name] for name in data if name != "lines"} == {
        "month": "2026-09",
        "time_zone": "UTC",
        "hours": 720,
        "prices": {"core_hour": "0.5", "gb_hour": "2"},
        "mount_options": [],
        "next": None,
        "total": 1,
        "totals": {
            "core_hours": "2.0000",
            "gb_hours": "1.0000",
            **dict.fromkeys(("gb_read", "gb_written", "gb_received", "gb_sent", "suspended_hours")),
        },
        "amount": "3.00",
    }
    (line,) = data["lines"]
    assert tuple(line) == Line._fields
    assert line["core_hours"] == "2.0000"
    assert line["gb_hours"] == "1.0000"
    assert line["gb_read"] is None
    assert Decimal(line["measured"]) == Decimal("0.0028")


def test_the_pages_of_a_bill_have_the_sums_of_all_lines(labelled: CommandLine) -> None:
    found, after, pages = [], "", 0
    while pages == 0 or after:
        data = document(labelled(f"bill --month 2026-09 --limit 1 --json {f'--after={after}' if after else ''}"))
        found += [line["account"] for line in data["lines"]]
        assert (data["total"], data["amount"], data["totals"]["core_hours"]) == (3, "1.50", "3.0000")
        after, pages = data["next"], pages + 1
    assert (found, pages) == (["alice", "bob", "carol"], 3)
    shown = labelled("bill --month 2026-09 --limit 2").stdout
    assert "3 lines in all; the next: --after bob/bob/" in shown


@pytest.mark.parametrize("form", ["", "--csv", "--json"])
def test_a_bill_is_the_same_each_time(form: str, counted: CommandLine) -> None:
    first = counted(f"bill --month 2026-09 {form}")
    assert first.exit_code == 0
    assert counted(f"bill --month 2026-09 {form}").stdout == first.stdout
    assert "3.00" in first.stdout or form == "--csv"


def test_a_bill_as_csv_has_a_line_an_account(counted: CommandLine) -> None:
    assert counted("bill --month 2026-09 --csv").stdout == (
        "account,plan,core_hours,gb_hours,gb_read,gb_written,gb_received,gb_sent,suspended_hours,measured,amount\n"
        "alice,small,2.0000,1.0000,,,,,,0.0028,3.00\n"
    )


def test_a_bill_tells_of_mount_options_that_changed_what_was_counted(counted: CommandLine) -> None:
    metered = Metered(counted.state)
    for _ in range(2):
        metered.writer.note_mount_options("2026-09", ["memory_hugetlb_accounting"])
    metered.writer.close()
    assert document(counted("bill --month 2026-09 --json"))["mount_options"] == ["memory_hugetlb_accounting"]
    assert document(counted("bill --month 2026-08 --json"))["mount_options"] == []
    shown = counted("bill --month 2026-09").stdout.splitlines()[-1]
    assert shown == (
        "cgroup2 was mounted with memory_hugetlb_accounting, in 2026-09 or a part of it: huge pages count as memory"
    )


def test_every_mount_option_that_is_kept_has_its_meaning() -> None:
    assert set(_MEANING) == COUNTING


def test_the_bill_is_that_of_the_month_that_has_ended_last(counted: CommandLine) -> None:
    last = date.today().replace(day=1) - timedelta(days=1)
    assert document(counted("bill --json"))["month"] == str(last)[:7]


def test_a_month_without_anything(counted: CommandLine) -> None:
    assert counted("bill --month 2025-01").stdout == "nothing was measured in this month\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("usage bob", "no account bob was measured"),
        ("usage alicia", "no account alicia was measured; did you mean alice?"),
        ("usage --period 2999-01", "2999-01-01 has not begun"),
        ("usage --from 2026-09-02 --to 2026-09-01", "--from is 2026-09-02, which is after 2026-09-01"),
        ("bill --month 2999-01", "--month is 2999-01, which has not begun"),
        ("usage --period 2026-13", "--period is 2026-13; expected today, yesterday"),
        ("usage --from 21.9.2026", "21.9.2026 is no day; expected one such as 2026-10-25."),
        ("usage --label north", "north is no label; expected one such as reseller=north."),
        ("usage --by leaf --by-label reseller", "expected --by-label, or --by leaf"),
        ("usage --period week --from 2026-09-01", "expected --period, or --from and --to"),
        ("bill --month 2026-09 --after alice", "--after is alice; expected `next` of the page before"),
        ("bill --month 2026-09 --by-label reseller --limit 2", "expected --by-label, or --limit and --after"),
        ("bill --month september", "september is no month; expected one such as 2026-10."),
    ],
)
def test_wrong_words(words: str, said: str, counted: CommandLine) -> None:
    result = counted(words)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("words", ["usage", "bill --month 2026-09"])
def test_there_is_no_ledger(words: str, place: CommandLine) -> None:
    place.person(root=True)
    result = place(words)
    assert result.exit_code == 5
    assert "there is no ledger yet" in result.stderr
