"""The C sources of each program of pam/, as its Makefile lists them."""

import re
from pathlib import Path

from tests.support.paths import PAM

_VARIABLES = dict(re.findall(r"^([A-Z]+) = (.*)$", (PAM / "Makefile").read_text(), re.M))


def _sources(name: str) -> tuple[Path, ...]:
    words = re.sub(r"\$\((\w+)\)", lambda found: _VARIABLES[found[1]], _VARIABLES[name]).split()
    return tuple(PAM / word for word in words)


MODULE, ENTER, RUN = _sources("MODULE"), _sources("ENTER"), _sources("RUN")
EXPORTS = PAM / _VARIABLES["EXPORTS"]
