"""The example accounts of `config/`, with the names that they have on a target."""

import re
from collections.abc import Iterator
from pathlib import Path

from testbed.host import SOURCE

CAROL = Path(__file__).resolve().parent / "carol.yaml"


def accounts() -> dict[str, str]:
    """Name -> YAML: the examples of `config/`, and carol, who is only of this demonstration."""
    files = [*sorted((SOURCE / "config/accounts.d").glob("*.yaml")), CAROL]
    return {file.stem: file.read_text() for file in files}


def plans() -> dict[str, str]:
    return {file.stem: file.read_text() for file in sorted((SOURCE / "config/plans.d").glob("*.yaml"))}


def renamed(text: str, names: dict[str, str]) -> str:
    """Replaces each word that is an account's name, or begins with one and a dash (`intranet-dev`)."""
    words = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<![\w-])({words})(?!\w)", lambda found: names[found[1]], text)


def users(text: str) -> list[str]:
    """The Unix users of an account. It reads these examples only; for YAML in general there is `paas-isolate check`."""
    listed = re.search(r"^users: *\[([^]]*)\]", text, re.MULTILINE)
    named = re.search(r"^account: *(\S+)", text, re.MULTILINE)
    found = listed[1].split(",") if listed else [named[1]] if named else []
    return [name.strip().strip("\"'") for name in found]


def all_users(texts: dict[str, str]) -> Iterator[str]:
    for text in texts.values():
        yield from users(text)
