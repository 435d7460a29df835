"""Reading /etc/subuid."""

from pathlib import Path

from paas_isolate.linux.system.subordinates import subordinate_uids


def test_ranges_by_user(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_bytes(b"alice:100000:65536\n1002:165536:10\nalice:300000:1\n")
    assert subordinate_uids(str(file)) == {
        "alice": ((100_000, 165_535), (300_000, 300_000)),
        "1002": ((165_536, 165_545),),
    }


def test_lines_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_bytes(b"\n# a comment\nalice\nbob:x:1\n:1:1\ncarol:5:0\ndave:-1:5\n\xff:1:2\neve:4294967290:65536")
    assert subordinate_uids(str(file)) == {"\ufffd": ((1, 2),), "eve": ((4_294_967_290, 4_294_967_294),)}


def test_without_a_file_nobody_has_any(tmp_path: Path) -> None:
    assert subordinate_uids(str(tmp_path / "missing")) == {}
