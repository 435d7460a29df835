"""`reconcile`, which runs every minute, imports only what it needs."""

import subprocess
import sys

import pytest

from paas_isolate.cli.main import _directories, run
from paas_isolate.exits import Exit

RUN = """
import sys
import paas_isolate.cli.main, paas_isolate.cli.run
heavy = {"click", "ctypes", "dataclasses", "datetime", "hashlib", "inspect", "json", "rich", "socket", "yaml"}
print(*heavy.intersection(sys.modules))
"""

PARSE = """
import sys
import paas_isolate.spec.parse
print(*{"dataclasses", "inspect"}.intersection(sys.modules))
"""


def test_the_run_of_every_minute_imports_nothing_heavy() -> None:
    seen = subprocess.run([sys.executable, "-I", "-c", RUN], check=True, capture_output=True, text=True)
    assert seen.stdout.strip() == ""


def test_a_file_that_was_edited_is_parsed_without_what_reads_the_source_of_python() -> None:
    seen = subprocess.run([sys.executable, "-I", "-c", PARSE], check=True, capture_output=True, text=True)
    assert seen.stdout.strip() == ""


@pytest.mark.parametrize(
    ("words", "found", "rest"),
    [
        (["reconcile", "--cron"], {}, ["reconcile", "--cron"]),
        (["--etc", "/x", "--run", "/y", "reconcile", "--quiet"], {"etc": "/x", "run": "/y"}, ["reconcile", "--quiet"]),
        (["--etc=/x", "reconcile", "--cron"], {}, ["--etc=/x", "reconcile", "--cron"]),
        (["--etc", "/x"], {}, ["--etc", "/x"]),
        (["--etc", "/x", "--help"], {"etc": "/x"}, ["--help"]),
    ],
)
def test_directories_are_taken_where_they_are_written_plainly(
    words: list[str], found: dict[str, str], rest: list[str]
) -> None:
    assert _directories(words) == (found, rest)


@pytest.mark.parametrize("words", [["exec", "alice/web", "true"], ["freeze", "alice"]])
def test_what_changes_or_enters_needs_root(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run(words) == Exit.UNFIT
    assert "this needs root" in capsys.readouterr().err
