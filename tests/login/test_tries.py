"""How often somebody may try to log in."""

import json
from pathlib import Path

import pytest

from paas_isolate.login import tries
from paas_isolate.login.tries import ADDRESS, ALL, FILE, NAME, Tries


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def taken(run: Path, name: str, address: str, times: int) -> int:
    return sum(Tries(str(run), name, address).take() for _ in range(times))


def test_a_name_is_tried_ten_times_and_then_once_a_minute(tmp_path: Path, clock: list[float]) -> None:
    assert sum(taken(tmp_path, "alice", f"192.0.2.{n}", 1) for n in range(20)) == NAME.burst
    clock[0] += 61
    assert taken(tmp_path, "alice", "192.0.2.99", 2) == 1
    assert taken(tmp_path, "bob", "192.0.2.99", 1) == 1


def test_an_address_is_counted_for_all_names_and_an_ipv6_network_as_one(tmp_path: Path, clock: list[float]) -> None:
    assert sum(taken(tmp_path, f"u{n}", f"2001:db8::{n:x}", 1) for n in range(50)) == ADDRESS.burst
    assert sum(taken(tmp_path, f"v{n}", f"::ffff:192.0.2.{1 + n % 2}", 1) for n in range(80)) == 2 * ADDRESS.burst
    assert taken(tmp_path, "w", "192.0.2.1", 1) == 0


def test_who_succeeds_is_not_counted(tmp_path: Path, clock: list[float]) -> None:
    for _ in range(100):
        each = Tries(str(tmp_path), "alice", "192.0.2.1")
        assert each.take()
        each.give_back()


def test_all_together_are_bounded(tmp_path: Path, clock: list[float]) -> None:
    assert sum(taken(tmp_path, f"u{n}", f"192.0.{n >> 8}.{n & 255}", 1) for n in range(400)) == ALL.burst
    clock[0] += 1
    assert sum(taken(tmp_path, f"v{n}", f"192.0.3.{n}", 1) for n in range(20)) == ALL.a_second


def test_the_file_is_bounded(tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "MOST", 50)
    begun = sum(taken(tmp_path, f"u{n}", f"192.0.2.{n}", 1) for n in range(100))
    assert 25 <= begun < 50  # those beyond are counted as one name and one address
    assert len(json.loads((tmp_path / FILE).read_text())["used"]) <= 53
    clock[0] += 3600
    assert taken(tmp_path, "alice", "192.0.2.1", 1) == 1
    assert len(json.loads((tmp_path / FILE).read_text())["used"]) < 10


def test_a_damaged_file_begins_anew(tmp_path: Path, clock: list[float]) -> None:
    (tmp_path / FILE).write_text('{"key": ')
    assert taken(tmp_path, "alice", "", 1) == 1
    json.loads((tmp_path / FILE).read_text())
