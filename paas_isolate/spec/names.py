"""Names and caps that are needed where nothing is parsed.

They stand apart from the shapes, whose import takes half as long as the interpreter's start: a run in which nothing has
changed does without it.
"""

import re

from paas_isolate.text import quoted

SIZE_CAP = 256 * 1024
"""The most bytes that a specification may have."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}", re.ASCII)
NAME_EXPECTED = "a name such as web-1 (a-z, 0-9, _ and -, at most 32)"


def is_name(text: str) -> bool:
    """Whether it can be the name of an account, a plan or a service."""
    return NAME.fullmatch(text) is not None


MOST = 100
"""The most errors, and the most warnings, that are reported of one file."""


def shown_file(name: str) -> str:
    """A file's name for a complaint, never shortened; in quotes where it has unusual characters."""
    in_quotes = quoted(name)
    return name if in_quotes == repr(name) == f"'{name}'" else in_quotes
