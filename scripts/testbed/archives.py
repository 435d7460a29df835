"""Packages of Debian for a guest that runs: it reaches no mirror, so that this machine's apt downloads them for it."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from testbed import host, mirror
from testbed.errors import VmError


def download(release: str, packages: Sequence[str], *, status: bytes, place: Path) -> Path:
    """The directory below `place` with these packages and what they depend on, but for what `status` has, the guest's
    /var/lib/dpkg/status. apt keeps its lists in `place` too. VmError where it fails.
    """
    archives = place / "archives"
    for directory in (place / "lists" / "partial", archives / "partial"):
        directory.mkdir(parents=True)
    (place / "status").write_bytes(status)
    (place / "sources.list").write_text(f"deb [signed-by={host.KEYRING}] {mirror.serving(release)} {release} main\n")
    settings = place / "apt.conf"
    settings.write_text(
        f'Dir::State "{place}"; Dir::State::lists "{place}/lists"; Dir::State::status "{place}/status";\n'
        f'Dir::Etc::sourcelist "{place}/sources.list"; Dir::Etc::sourceparts "-";\n'
        f'Dir::Cache "{place}"; Dir::Cache::archives "{archives}"; APT::Sandbox::User "";\n'
    )
    environment = {**os.environ, "APT_CONFIG": str(settings), "LC_ALL": "C"}
    install = ["install", "--yes", "--no-install-recommends", "--download-only", *packages]
    for words in (["update"], install):
        done = subprocess.run(["apt-get", "--quiet", *words], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise VmError(f"apt-get {words[0]} failed: {done.stderr[-1000:]}")
    return archives
