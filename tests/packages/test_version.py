"""The version of the packages: from CHANGELOG.md and the program, ordered as dpkg orders versions."""

import os
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from building.version import Version, debian_changelog, version
from testbed.errors import VmError

SOURCE = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 11, 29, 12, 0, 51, tzinfo=UTC)


def tree(place: Path, heading: str, program: str = "1.2.3") -> Path:
    (place / "paas_isolate").mkdir(exist_ok=True)
    (place / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n\n## [0.1.0] - 2025-01-01\n")
    (place / "paas_isolate" / "__init__.py").write_text(f'"""Text."""\n\n__version__ = "{program}"\n')
    os.utime(place / "CHANGELOG.md", (NOON.timestamp(),) * 2)
    return place


def test_that_of_a_release_is_its_number(tmp_path: Path) -> None:
    found = version(tree(tmp_path, "## [1.2.3] - 2026-11-29"))
    assert (found.number, found.date, found.is_released) == ("1.2.3", datetime(2026, 11, 29, tzinfo=UTC), True)
    assert found.debian("trixie") == "1.2.3+deb13"


def test_before_the_release_it_has_the_time_of_the_last_commit(tmp_path: Path) -> None:
    found = version(tree(tmp_path, "## [1.2.3] - Unreleased"))
    assert found.debian("bookworm") == "1.2.3~git20261129.120051+deb12"


@pytest.mark.parametrize(
    ("heading", "program", "said"),
    [
        ("## [1.2.4] - Unreleased", "1.2.3", r"1\.2\.4.*1\.2\.3"),
        ("## [1.2.3] - tomorrow", "1.2.3", "tomorrow"),
        ("", "1.2.3", "0.1.0"),
    ],
)
def test_versions_that_differ_are_refused(tmp_path: Path, heading: str, program: str, said: str) -> None:
    with pytest.raises(VmError, match=said):
        version(tree(tmp_path, heading, program))


def test_this_tree_has_one_version() -> None:
    assert version(SOURCE).number == "0.2.0"


ORDER = [
    Version("1.2.3", NOON, is_released=False).debian("bookworm"),
    Version("1.2.3", NOON, is_released=False).debian("trixie"),
    Version("1.2.3", NOON.replace(hour=13), is_released=False).debian("bookworm"),
    Version("1.2.3", NOON, is_released=True).debian("bookworm"),
    Version("1.2.3", NOON, is_released=True).debian("trixie"),
    Version("1.2.4", NOON, is_released=False).debian("bookworm"),
]


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="no dpkg to ask")
@pytest.mark.parametrize(("lower", "higher"), list(pairwise(ORDER)))
def test_each_upgrades_the_one_before(lower: str, higher: str) -> None:
    assert subprocess.run(["dpkg", "--compare-versions", lower, "lt", higher]).returncode == 0


def test_the_changelog_of_debian_has_version_release_and_date() -> None:
    text = debian_changelog(Version("1.2.3", NOON, True), "trixie", "Source: x\nMaintainer: A <a@b.invalid>\n")
    assert text.startswith("paas-isolate (1.2.3+deb13) trixie; urgency=medium\n\n  * ")
    assert text.endswith("\n -- A <a@b.invalid>  Sun, 29 Nov 2026 12:00:51 +0000\n")
