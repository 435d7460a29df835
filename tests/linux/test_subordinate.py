"""Reading subuid(5)."""

from pathlib import Path

from paas_isolate.linux.system.subordinate import subordinate_uids


def test_each_user_with_all_ranges(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text(
        "alice:100000:65536\n1001:200000:1\nalice:300000:10\n\n# no\nbob:x:1\nbob:1:0\ncarol:4294967295:2\n"
    )
    assert subordinate_uids(str(file)) == {
        "alice": ((100_000, 165_535), (300_000, 300_009)),
        "1001": ((200_000, 200_000),),
    }
    assert subordinate_uids(str(tmp_path / "none")) == {}
