"""Names, and how what was found is shown: what is needed of the language where nothing is parsed.

Apart from the shapes, whose import is half the interpreter's start: a run that finds nothing changed does without.
"""

import re

SIZE_CAP = 256 * 1024
"""Bytes a file may have at the most."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
NAME_EXPECTED = "a name such as web-1 (a-z, 0-9, _ and -, at most 32)"


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def shown(text: str) -> str:
    """What was found, as a complaint prints it: quoted, escaped, shortened."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
