"""The last lines of a file."""

import os
from pathlib import Path

import pytest

from paas_isolate.linux.services import log_tail


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("count", [0, 1, 2, 50, 5000])
def test_the_last_lines_are_those_of_tail(tmp_path: Path, count: int, end: bytes) -> None:
    whole = [b"%d %s\n" % (number, b"x" * (number % 97)) for number in range(3000)]
    path = tmp_path / "log"
    path.write_bytes(b"".join(whole)[:-1] + end)
    with path.open("rb") as file:
        file.seek(log_tail._begin_of(file, count))
        assert file.read() == b"".join(whole[len(whole) - min(count, 3000) :])[:-1] + end if count else True


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    with (tmp_path / "log").open("rb") as file:
        assert log_tail._begin_of(file, 5) == 0


def test_a_line_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 1 << 40)
    with path.open("rb") as file:
        assert log_tail._begin_of(file, 1) >= (1 << 40) - log_tail.MOST - (1 << 16)
