"""The example accounts of `config/`, under the names that they have on a ground."""

import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
CAROL = Path(__file__).resolve().parent / "carol.yaml"


def accounts(source: Path = SOURCE) -> dict[str, str]:
    """Name -> YAML: those that administrators find in `config/`, and the one of this demonstration."""
    files = [*sorted((source / "config/accounts.d").glob("*.yaml")), CAROL]
    return {file.stem: file.read_text() for file in files}


def plans(source: Path = SOURCE) -> dict[str, str]:
    return {file.stem: file.read_text() for file in sorted((source / "config/plans.d").glob("*.yaml"))}


def renamed(text: str, names: dict[str, str]) -> str:
    """Every whole word that is an account's name gives way to its other name: `intranet-dev` begins with one too."""
    words = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<![\w-])({words})(?!\w)", lambda found: names[found[1]], text)


def users(text: str) -> list[str]:
    """The Unix users of an account. Our own examples only: `paas-isolate check` is who reads YAML."""
    listed = re.search(r"^users: *\[([^]]*)\]", text, re.MULTILINE)
    named = re.search(r"^account: *(\S+)", text, re.MULTILINE)
    found = listed[1].split(",") if listed else [named[1]] if named else []
    return [name.strip().strip("\"'") for name in found]


def all_users(texts: dict[str, str]) -> Iterator[str]:
    for text in texts.values():
        yield from users(text)
