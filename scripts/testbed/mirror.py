"""Where packages come from: this machine's own mirror, if it has the wanted release."""

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

DEBIAN = "http://deb.debian.org/debian"
APT = Path("/etc/apt")
APT_HELPER = "/usr/lib/apt/apt-helper"
STAMP = re.compile(r"/\d{8}T\d{6}Z/?$")


def uris_of_deb822(text: str) -> Iterator[str]:
    """The URIs of binary packages in a *.sources file (sources.list(5)), without disabled stanzas."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = dict(_fields(stanza))
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() != "no":
            yield from fields.get("uris", "").split()


def _fields(stanza: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in stanza.splitlines() if not line.startswith("#")]
    for field in re.split(r"\n(?=\S)", "\n".join(lines)):
        name, colon, value = field.partition(":")
        if colon:
            yield name.strip().lower(), " ".join(value.split())


def uris_of_list(text: str) -> Iterator[str]:
    """The URIs of a one-line-style sources.list: `deb [options] uri suite component...`"""
    for line in text.splitlines():
        if found := re.match(r"\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+\S+", line):
            yield found[1]


def candidates(uris: Iterable[str]) -> list[str]:
    """URIs that may serve all of Debian, best first: not security archives, and not those of other projects.

    A snapshot's URI is tried without its time stamp too, as the release may be newer than that.
    """
    found: list[str] = []
    for uri in (uri.rstrip("/") for uri in uris):
        plain = STAMP.sub("", uri)
        if "debian" in urlsplit(plain).path.split("/"):
            found += [uri, plain]
    return list(dict.fromkeys([*found, DEBIAN]))


def configured() -> list[str]:
    """The mirrors that this machine's apt is configured with, best first."""
    files = sorted(APT.glob("sources.list.d/*.sources"))
    lists = [APT / "sources.list", *sorted(APT.glob("sources.list.d/*.list"))]
    uris = [uri for file in files for uri in uris_of_deb822(file.read_text())]
    uris += [uri for file in lists if file.exists() for uri in uris_of_list(file.read_text())]
    return candidates(uris)


def serving(release: str) -> str:
    """The first mirror that has the release. apt asks for it: it knows this machine's proxies and certificates."""
    with tempfile.TemporaryDirectory() as place:
        for uri in configured():
            wanted = f"{uri}/dists/{release}/InRelease"
            asked = [APT_HELPER, "download-file", wanted, f"{place}/InRelease"]
            if Path(APT_HELPER).exists() and subprocess.run(asked, capture_output=True).returncode == 0:
                return uri
    return DEBIAN


def transport_options() -> list[str]:
    """Options with which this machine's apt reaches its mirrors (proxies, certificates), for mmdebstrap's apt."""
    try:
        dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    wanted = re.compile(r'Acquire::(https?|Retries|ForceIPv\d)\b.* "[^"]+";$')
    return [line for line in dump.splitlines() if wanted.match(line)]
