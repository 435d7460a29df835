"""Names, and how what was found is shown: what is needed of the language where nothing is parsed.

Apart from the shapes, whose import is half the interpreter's start: a run that finds nothing changed does without.
"""

import re

from paas_isolate.text import quoted

SIZE_CAP = 256 * 1024
"""Bytes a file may have at the most."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
NAME_EXPECTED = "a name such as web-1 (a-z, 0-9, _ and -, at most 32)"


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


MOST = 100
"""Mistakes of one file that are told, and warnings: nobody reads more at once."""


def shown_file(name: str) -> str:
    """A file's name, whole, for somebody must find it; quoted where it is not what it looks like."""
    in_quotes = quoted(name)
    return name if in_quotes == repr(name) == f"'{name}'" else in_quotes
