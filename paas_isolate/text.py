"""Text that somebody else has chosen (a program's name, a file's, what a service prints), made fit for a terminal, a
log and a message: it can neither begin a line of its own nor change how the rest is shown.
"""

import re
from collections.abc import Sequence

# Letters and marks that nobody sees (Unicode: Default_Ignorable_Code_Point), where str.isprintable() lets them pass.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


SHOWN = 40
"""Characters of what was found that a complaint repeats at the most."""


def escaped(text: str) -> str:
    r"""The text as one line in which everything is seen: `\x1b` for ESC, `\n` for the end of a line.

    Escaped are all control characters (C0, C1, DEL), line and paragraph separators, format characters (those that turn
    the direction of writing among them), lone surrogates (bytes of a name that are no UTF-8), what Unicode does not
    know, and letters that nobody sees. A backslash stays as it is: the result is for people, and is not read back.
    """
    if text.isprintable() and not _UNSEEN.search(text):
        return text
    return "".join(letter if _seen(letter) else _code(letter) for letter in text)


def quoted(text: str) -> str:
    """As `escaped`, in quotes: where the text begins and ends is seen too."""
    return escaped(repr(text))


def excerpt(text: str) -> str:
    """What was found, as a complaint prints it: quoted, escaped, shortened."""
    return quoted(shortened(text))


def shortened(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def printable(name: str) -> str:
    """A key as a complaint names it: as it is where it is a plain word, else like what was found."""
    return name if re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name) else excerpt(name)


def abbreviated(names: Sequence[str]) -> str:
    """A few of many names."""
    few = ", ".join(printable(name) for name in names[:5])
    return f"{few} and {len(names) - 5} more" if len(names) > 5 else few


def counted(count: int, thing: str) -> str:
    """`1 change`, `2 changes`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _seen(letter: str) -> bool:
    return letter.isprintable() and not _UNSEEN.match(letter)


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
