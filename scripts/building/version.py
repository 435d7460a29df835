"""The version of a package, from CHANGELOG.md and paas_isolate/__init__.py, which must agree."""

import re
import subprocess
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

from testbed.errors import VmError

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## \[(?P<version>[^]]+)\] - (?P<date>\S+)$", re.M)
_PROGRAM = re.compile(r'^__version__ = "(?P<version>[^"]+)"$', re.M)
_MAINTAINER = re.compile(r"^Maintainer: (.+)$", re.M)
DEBIAN = {"bookworm": 12, "trixie": 13}


class Version(NamedTuple):
    """`number` is that of CHANGELOG.md. `date` is the day of its release at midnight UTC; while it is unreleased, the
    time of the last commit."""

    number: str
    date: datetime
    is_released: bool

    def debian(self, release: str) -> str:
        """The version of the package for a release of Debian. That of a later commit, of the released version, and of
        the same version for the next Debian is higher (deb-version(7))."""
        snapshot = "" if self.is_released else f"~git{self.date:%Y%m%d.%H%M%S}"
        return f"{self.number}{snapshot}+deb{DEBIAN[release]}"


def version(source: Path) -> Version:
    """VmError where CHANGELOG.md and the program name different versions, or one of them names none."""
    heading = _HEADING.search((source / "CHANGELOG.md").read_text())
    program = _PROGRAM.search((source / "paas_isolate" / "__init__.py").read_text())
    if heading is None or program is None:
        raise VmError(f"{'CHANGELOG.md' if heading is None else 'paas_isolate/__init__.py'} names no version")
    number, date = heading["version"], heading["date"]
    if number != program["version"]:
        raise VmError(
            f"CHANGELOG.md begins with version {number}, paas_isolate/__init__.py says {program['version']}",
            hint="give both the same version",
        )
    if date == UNRELEASED:
        return Version(number, _committed(source), is_released=False)
    try:
        return Version(number, datetime.strptime(date, "%Y-%m-%d").replace(tzinfo=UTC), is_released=True)
    except ValueError:
        raise VmError(f"CHANGELOG.md dates {number} {date!r}; expected YYYY-MM-DD or {UNRELEASED}") from None


def _committed(source: Path) -> datetime:
    """The time of the last commit; where the tree is no git checkout, that of the last change of CHANGELOG.md."""
    git = ["git", "-C", str(source), "log", "-1", "--format=%ct"]
    try:
        seconds = int(subprocess.run(git, capture_output=True, text=True, check=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        seconds = int((source / "CHANGELOG.md").stat().st_mtime)
    return datetime.fromtimestamp(seconds, UTC)


def debian_changelog(of: Version, release: str, control: str) -> str:
    """The text of debian/changelog (deb-changelog(5)); `control` is that of debian/control, which has the maintainer.
    dpkg-buildpackage takes SOURCE_DATE_EPOCH from it."""
    maintainer = _MAINTAINER.search(control)
    if maintainer is None:
        raise VmError("debian/control has no Maintainer")
    return (
        f"paas-isolate ({of.debian(release)}) {release}; urgency=medium\n\n"
        f"  * Version {of.number}. CHANGELOG.md in /usr/share/doc/paas-isolate says what\n"
        "    a user can see of it.\n\n"
        f" -- {maintainer[1]}  {format_datetime(of.date)}\n"
    )
