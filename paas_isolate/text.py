"""Makes text that others have chosen (names of programs and files, output of a service) safe for a terminal, a log and
a message. Escaped text cannot begin a new line, and cannot change how other text is shown.
"""

import re
from collections.abc import Sequence

# Invisible characters (Unicode: Default_Ignorable_Code_Point) for which str.isprintable() is true.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)

SHOWN = 40
"""Characters of a quoted value that a complaint shows at the most."""


def escaped(text: str) -> str:
    r"""The text as one line in which every character is visible: `\x1b` for ESC, `\n` for the end of a line.

    Escaped are control characters (C0, C1, DEL), line and paragraph separators, format characters (also those that
    change the direction of writing), lone surrogates (bytes of a name that are not UTF-8), unassigned code points, and
    invisible characters. A backslash is not escaped: the result is for people and is not parsed again.
    """
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(letter if _seen(letter) else _code(letter) for letter in text)


def quoted(text: str) -> str:
    """As `escaped`, and in quotes, which show where the text begins and ends."""
    return escaped(repr(text))


def excerpt(text: str) -> str:
    """A value as a complaint shows it: shortened, quoted, escaped."""
    return quoted(shortened(text))


def shortened(text: str) -> str:
    """At most SHOWN characters, the last of which is `…` when more were cut."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def printable(name: str) -> str:
    """A name or key as a complaint shows it: unchanged when it is a plain word, else as an `excerpt`."""
    return name if re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name) else excerpt(name)


def abbreviated(names: Sequence[str]) -> str:
    """The first five names, and the number of the others: `a, b, c, d, e and 3 more`."""
    few = ", ".join(printable(name) for name in names[:5])
    return f"{few} and {len(names) - 5} more" if len(names) > 5 else few


def counted(count: int, thing: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _seen(letter: str) -> bool:
    return letter.isprintable() and not _UNSEEN.match(letter)


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
