"""The example that turns a bill into what WHMCS takes."""

import csv
import io
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

from paas_isolate.metering import bill
from paas_isolate.metering.use import Use
from tests.support.paths import CONFIG

PROGRAM = CONFIG / "examples/whmcs/billable-items"
PRICES = {"core_hour": "0.5"}


def bill_as_csv(*lines: bill.Line) -> str:
    """As `paas-isolate bill --csv` prints it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([bill.Line._fields, *lines])
    return text.getvalue()


def hours(account: str, plan: str, hours: int, prices: dict[str, str] = PRICES) -> bill.Line:
    use = Use(user=hours * 3_600_000_000, system=0, memory=3 << 20, sent=1 << 29)
    return bill.line(account, plan, use, 86_400, prices)


def converted(place: Path, clients: str, *lines: bill.Line) -> subprocess.CompletedProcess[str]:
    (place / "clients.csv").write_text(f"account,clientid\n{clients}")
    words = [sys.executable, str(PROGRAM), "2026-09", str(place / "clients.csv")]
    return subprocess.run(words, input=bill_as_csv(*lines), capture_output=True, text=True)


def test_each_line_with_an_amount_is_an_item(tmp_path: Path) -> None:
    lines = hours("alice", "small", 2), hours("alice", "", 1), hours("bob", "small", 0)
    done = converted(tmp_path, "alice,17\nbob,18\n", *lines)
    assert done.returncode == 0
    first, second = csv.DictReader(io.StringIO(done.stdout))
    assert first == {
        "clientid": "17",
        "description": "alice (small), 2026-09: 2.0000 core-hours, 0.0008 GB-hours of memory, 0.5000 GB sent",
        "amount": "1.00",
        "unit": "quantity",
        "quantity": "1",
        "invoiceaction": "nextinvoice",
    }
    assert second["description"].startswith("alice, 2026-09: 1.0000 core-hours")
    assert Decimal(second["amount"]) == Decimal("0.50")


def test_without_prices_there_are_no_items(tmp_path: Path) -> None:
    done = converted(tmp_path, "alice,17\n", hours("alice", "small", 2, {}))
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)


def test_nobody_is_forgotten(tmp_path: Path) -> None:
    done = converted(tmp_path, "alice,17\n", hours("alice", "small", 2), hours("bob", "", 1))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("clients.csv has no client for: bob\n")
