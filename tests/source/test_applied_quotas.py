"""The record of which quotas are ours."""

from pathlib import Path

import pytest

from paas_isolate.model.quota import QuotaKey
from paas_isolate.source.applied_quotas import FILE, AppliedQuotas

GIVEN = {QuotaKey("ext 00ff", 1000): "alice", QuotaKey("ext 00ff", 1001): "alice", QuotaKey("xfs 12", 1000): "bob"}


def test_all_of_it_is_kept(tmp_path: Path) -> None:
    given = AppliedQuotas(str(tmp_path / "state"))
    assert (given.load(), given.there()) == ({}, False)
    given.save(GIVEN)
    assert (given.load(), given.there()) == (GIVEN, True)
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600
    given.save({})
    assert given.load() == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '{"ext 1": ["1000"]}', '{"ext 1": {"x": "alice"}}', "\xff"])
def test_a_damaged_file_gives_nothing_to_lift(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, encoding="latin-1")
    assert AppliedQuotas(str(tmp_path)).load() == {}
