"""Our lines of hosts(5) are added, changed and removed; no other line is touched."""

import os
from pathlib import Path

import pytest

from paas_isolate.errors import HostError
from paas_isolate.linux.network.hosts import BEGIN, END, HostsFile

OTHERS = b"127.0.0.1 localhost\n\xff odd bytes\n::1 localhost"
SOME = ("10.77.0.2 alice.paas.internal", "10.77.0.3 bob.paas.internal")


def test_lines_come_change_and_go(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(OTHERS)
    path.chmod(0o640)
    file = HostsFile(str(path))
    assert file.observe() == ()
    file.set(SOME)
    assert file.observe() == SOME
    path.write_bytes(path.read_bytes() + b"10.0.0.1 added.behind\n")
    file.set(SOME[:1])
    assert file.observe() == SOME[:1]
    assert path.read_bytes() == OTHERS + b"\n" + BEGIN + SOME[0].encode() + b"\n" + END + b"10.0.0.1 added.behind\n"
    file.set(())
    assert path.read_bytes() == OTHERS + b"\n10.0.0.1 added.behind\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["hosts"]


def test_what_is_right_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(OTHERS)
    before = path.stat().st_ino
    HostsFile(str(path)).set(())
    assert path.stat().st_ino == before


@pytest.mark.parametrize("spoilt", [BEGIN, END, END + BEGIN, BEGIN + END + BEGIN + END])
def test_spoilt_marks_are_told_and_nothing_is_lost(tmp_path: Path, spoilt: bytes) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(OTHERS + b"\n" + spoilt)
    file = HostsFile(str(path))
    assert file.observe() is None
    with pytest.raises(HostError, match="marks of paas-isolate"):
        file.set(SOME)
    assert path.read_bytes() == OTHERS + b"\n" + spoilt


def test_a_link_leads_to_the_file_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(OTHERS)
    (tmp_path / "hosts").symlink_to("real")
    HostsFile(str(tmp_path / "hosts")).set(SOME)
    assert (tmp_path / "hosts").is_symlink()
    assert b"alice" in (tmp_path / "real").read_bytes()


def test_where_there_is_no_file_there_is_one_afterwards(tmp_path: Path) -> None:
    file = HostsFile(str(tmp_path / "hosts"))
    assert file.observe() == ()
    file.set(SOME)
    assert file.observe() == SOME
    assert (tmp_path / "hosts").stat().st_mode & 0o777 == 0o644


def test_a_file_that_cannot_be_replaced_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be replaced"):
        HostsFile(str(tmp_path / "missing/hosts")).set(SOME)
