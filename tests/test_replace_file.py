"""Replacing a file in one step."""

import os
import stat
from pathlib import Path

import pytest

from paas_isolate.replace_file import Durability, replace_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("durability", Durability)
def test_the_file_has_the_new_content_and_nothing_else_is_left(path: Path, durability: Durability) -> None:
    path.write_bytes(b"old")
    replace_file(str(path), b"new", durability)
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("durability", "synced"),
    [
        (Durability.NONE, []),
        (Durability.CONTENT, ["file"]),
        (Durability.NAME, ["file", "directory"]),
    ],
)
def test_what_is_forced_to_the_disk(
    path: Path, durability: Durability, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = []

    def fsync(descriptor: int) -> None:
        forced.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", fsync)
    replace_file(str(path), b"new", durability)
    assert forced == synced


def test_the_mode_is_the_one_asked_for_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        replace_file(str(path), b"", Durability.NONE, mode=0o644)
    finally:
        os.umask(before)
    assert mode_of(path) == 0o644


def test_a_file_is_for_its_owner_alone_unless_a_mode_is_said(path: Path) -> None:
    path.touch(0o644)
    replace_file(str(path), b"", Durability.NONE)
    assert mode_of(path) == 0o600


def test_attributes_are_kept_where_asked(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    replace_file(str(path), b"new", Durability.NONE, mode=0o600, keeps_attributes=True)
    assert mode_of(path) == 0o640
    assert path.read_bytes() == b"new"


def test_a_directory_is_made_only_where_asked(tmp_path: Path) -> None:
    path = tmp_path / "state" / "file"
    with pytest.raises(FileNotFoundError):
        replace_file(str(path), b"new", Durability.NONE)
    replace_file(str(path), b"new", Durability.NONE, makes_directory=True)
    assert mode_of(path.parent) == 0o700


@pytest.mark.parametrize("make", [Path.touch, lambda it: it.symlink_to("file"), lambda it: it.symlink_to("nowhere")])
def test_what_a_killed_run_has_left_is_replaced(path: Path, make: object) -> None:
    left = path.with_name(".file.paas-isolate-new")
    path.write_bytes(b"old")
    make(left)  # type: ignore[operator]
    replace_file(str(path), b"new", Durability.NONE)
    assert path.read_bytes() == b"new"
    assert not path.is_symlink()
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"old")

    def full(descriptor: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(str(path), b"new", Durability.NAME)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]
