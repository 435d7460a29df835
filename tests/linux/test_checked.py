"""What root keeps as plain data: damaged in any place it is as if there were no file, and never reaches marshal."""

import marshal
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.namespaces import registry
from paas_isolate.linux.namespaces.registry import ViewRecord
from paas_isolate.linux.namespaces.syscalls import FileId
from paas_isolate.linux.network import ruleset_cache
from paas_isolate.linux.network.ruleset_cache import CacheKey
from paas_isolate.linux.system import checked
from paas_isolate.model.network import EgressAssignment, Grant, Pools, Published, RangeEgress, Rules, UidRange
from paas_isolate.model.view import View

RULES = Rules(
    owners=frozenset({Grant(1001, "10.77.0.1"), Grant(1001, "fd77::1")}),
    peers=frozenset({Grant(1002, "10.77.0.1")}),
    frontends=frozenset({33}),
    published=frozenset({Published(8300, "10.77.0.1", 8080)}),
    egress=frozenset({EgressAssignment(1001, ("allow dns", "deny private"))}),
    subordinates=frozenset({UidRange(100_000, 165_535)}),
    range_egress=frozenset({RangeEgress(100_000, 165_535, ("deny private",))}),
)
KEY = CacheKey("0.2.0", Pools("10.77.0.0/16", "fd77::/64"), 4026531840, 7)
RECORD = ViewRecord(
    View(processes=True, tmp="/var/lib/x/alice", hide=("/etc/secret", "/caf\udce9"), owner=1001),
    4026532001,
    {"/proc": FileId(23, 1), "/tmp": FileId(24, 2)},
    ("/srv/none",),
    FileId(30, 77),
)


def damaged(data: bytes) -> list[bytes]:
    """Cut short at every length, with one byte flipped in every position, and with one too many."""
    flipped = [data[:at] + bytes((data[at] ^ flip,)) + data[at + 1 :] for at in range(len(data)) for flip in (1, 255)]
    return [*(data[:length] for length in range(len(data))), *flipped, data + b"\0"]


@pytest.fixture
def only_what_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(_: bytes) -> Any:
        raise AssertionError("marshal was given damaged bytes")

    monkeypatch.setattr(marshal, "loads", loads)


def test_a_ruleset_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "ruleset")
    assert ruleset_cache.load(path) is None
    for durable in (False, True):
        ruleset_cache.save(path, KEY, RULES, durable=durable)
        assert ruleset_cache.load(path) == (KEY, RULES)
    assert (tmp_path / "ruleset").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["ruleset"]


def test_a_damaged_ruleset_is_none(tmp_path: Path, only_what_is_whole: None) -> None:
    path = tmp_path / "ruleset"
    ruleset_cache.save(str(path), KEY, RULES)
    for data in damaged(path.read_bytes()):
        path.write_bytes(data)
        assert ruleset_cache.load(str(path)) is None


def test_the_ruleset_of_an_older_version_is_none(tmp_path: Path, only_what_is_whole: None) -> None:
    path = tmp_path / "ruleset"
    path.write_bytes(marshal.dumps((("0.1.0", ("10.77.0.0/16", "fd77::/64"), 0, 0), *[frozenset[int]()] * 5)))
    assert ruleset_cache.load(str(path)) is None


@pytest.mark.parametrize("value", [None, (), (1, 2, 3, 4, 5, 6), (("", ("a",), 0, 0), *[frozenset({1})] * 5), "text"])
def test_a_ruleset_of_another_shape_is_none(tmp_path: Path, value: object) -> None:
    path = tmp_path / "ruleset"
    path.write_bytes(checked.dumps("ruleset 1", value))
    assert ruleset_cache.load(str(path)) is None


@pytest.mark.parametrize("record", [RECORD, RECORD._replace(shown=None, marks={})])
def test_the_record_of_a_view_comes_back(record: ViewRecord) -> None:
    assert registry.loaded(registry.dumped(record)) == record


def test_a_damaged_record_is_none(only_what_is_whole: None) -> None:
    for data in (*damaged(registry.dumped(RECORD)), marshal.dumps((1, tuple(RECORD.view), 1, {}, (), None))):
        assert registry.loaded(data) is None


def test_one_kind_is_not_taken_for_another() -> None:
    with pytest.raises(ValueError):
        checked.loads("view 2", checked.dumps("ruleset 1", ()))
