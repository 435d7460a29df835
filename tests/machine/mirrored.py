"""Debian's packages for a guest, which reaches no mirror itself: this machine downloads them and pushes them in."""

import subprocess
import tempfile
from pathlib import Path

import pytest
from testbed import host, mirror
from testbed.guest import Guest

from tests.machine.at_work import APT, PATIENCE

REPOSITORY = r"""
repository() { # DIRECTORY ORIGIN: apt-get knows that directory of packages as a repository from then on
    cd "$1"
    for file in *%*.deb; do # apt has written the colon of an epoch so, and would read it as a colon
        [ ! -e "$file" ] || mv "$file" "$(echo "$file" | tr % _)"
    done
    for file in *.deb; do
        dpkg-deb --field "$file"
        printf 'Filename: ./%s\nSize: %s\n' "$file" "$(stat -c %s "$file")"
        printf 'SHA256: %s\n\n' "$(sha256sum <"$file" | cut -c-64)"
    done >Packages
    printf 'Origin: %s\nSuite: %s\nDate: %s\n' "$2" "$2" "$(date -Ru | sed 's/+0000/UTC/')" >Release
    printf 'SHA256:\n %s %s Packages\n' "$(sha256sum <Packages | cut -c-64)" "$(stat -c %s Packages)" >>Release
    echo "deb [trusted=yes] file:$1 ./" >"/etc/apt/sources.list.d/$2.list"
    apt-get --quiet update
}
"""
"""A function of sh(1). The directory must be readable by the user _apt."""


def download(guest: Guest, destination: str, *words: str, release: str = "") -> None:
    """Brings what `apt-get WORDS` would fetch on that guest, from its release or another one, into its directory
    `destination`. Skips the test where no mirror is within reach."""
    release = release or guest.state.release
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for directory in ("lists/partial", "archives/partial", "parts"):
            (place / directory).mkdir(parents=True)
        guest.pull("/var/lib/dpkg/status", place / "status")
        (place / "sources.list").write_text(
            f"deb [signed-by={host.KEYRING}] {mirror.serving(release)} {release} main\n"
        )
        options = {
            "APT::Architecture": "amd64",
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",
            "Debug::NoLocking": "1",
            "Dir::Etc::sourcelist": f"{place}/sources.list",
            "Dir::Etc::sourceparts": f"{place}/parts",
            "Dir::Etc::preferencesparts": f"{place}/parts",
            "Dir::State": str(place),
            "Dir::State::lists": f"{place}/lists",
            "Dir::State::status": f"{place}/status",
            "Dir::Cache": str(place),
            "Dir::Cache::archives": f"{place}/archives",
        }
        apt = ["apt-get", "--yes", *(f"-o{key}={value}" for key, value in options.items())]
        fetch = ["--download-only", "--no-install-recommends", *words]
        for command in (["update"], fetch):
            done = subprocess.run([*apt, *command], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no mirror of {release} gives {' '.join(words)}: {done.stderr[-300:]}")
        (place / "archives" / "partial").rmdir()
        (place / "archives" / "lock").unlink(missing_ok=True)
        guest.run(["rm", "-rf", destination], check=True)
        guest.push(place / "archives", destination)


def install(guest: Guest, name: str, *packages: str) -> None:
    """Installs Debian's packages, without those that they recommend, from /srv/NAME, which stays a repository. Skips
    the test where no mirror is within reach."""
    download(guest, f"/srv/{name}", "install", *packages)
    words = f"{APT} --no-install-recommends install {' '.join(packages)}"
    guest.run(script=f"set -eu\n{REPOSITORY}\nrepository /srv/{name} {name}\n{words}", check=True, timeout=PATIENCE)
