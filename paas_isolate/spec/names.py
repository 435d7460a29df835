"""Names, and how what was found is shown: what is needed of the language where nothing is parsed.

Apart from the shapes, whose import is half the interpreter's start: a run that finds nothing changed does without.
"""

import re
from collections.abc import Sequence

from paas_isolate.text import quoted

SIZE_CAP = 256 * 1024
"""Bytes a file may have at the most."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
NAME_EXPECTED = "a name such as web-1 (a-z, 0-9, _ and -, at most 32)"


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


MOST = 100
"""Mistakes of one file that are told, and warnings: nobody reads more at once."""

SHOWN = 40
"""Characters of what was found that a complaint repeats at the most."""


def excerpt(text: str) -> str:
    """What was found, as a complaint prints it: quoted, escaped, shortened."""
    return quoted(shortened(text))


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def printable(name: str) -> str:
    """A key as a complaint names it: as it is where it is a plain word, else like what was found."""
    return name if re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name) else excerpt(name)


def shown_file(name: str) -> str:
    """A file's name, whole, for somebody must find it; quoted where it is not what it looks like."""
    in_quotes = quoted(name)
    return name if in_quotes == repr(name) == f"'{name}'" else in_quotes


def abbreviated(names: Sequence[str]) -> str:
    """A few of many names."""
    few = ", ".join(printable(name) for name in names[:5])
    return f"{few} and {len(names) - 5} more" if len(names) > 5 else few
