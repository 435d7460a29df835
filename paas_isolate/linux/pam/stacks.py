"""The stack of modules that a PAM service has, with all that it includes. See pam.conf(5), pam.d(5).

What libpam makes of a file, not what stands in it: the lines of one kind in the order in which they are called, each
with the place where somebody would edit it. Files that cannot be read are passed over; libpam would refuse by them.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

ETC = "/etc/pam.d"
VENDOR = "/usr/lib/pam.d"
"""Where Debian's libpam looks for what /etc/pam.d has not (systemd-user, on Debian 13)."""

OTHER = "other"
"""The service whose lines count for one that has none of a kind."""

DEEPEST = 16
"""PAM_SUBSTACK_MAX_LEVEL: files that include each other in a circle end here, for libpam too."""

_INCLUDE = "@include"  # a Debian patch
_WORD = re.compile(r"\[((?:\\.|[^]\\])*)\]|(\S+)")


class Line(NamedTuple):
    """One call of a module. `control` is as written, in one blank's distance (`[success=1 default=ignore]`);
    `module` is the base name; `via` are the files that led to `file`, the service's own first; `substacks` are the
    places of the substacks that it lies in, the outermost first: their jumps and endings are theirs alone."""

    file: str
    number: int
    control: str
    module: str
    arguments: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    substacks: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where somebody would edit it."""
        return f"{self.file}:{self.number}"

    @property
    def said(self) -> str:
        """The line without the word `session`, as `profile.lines` has it."""
        return " ".join((self.control, self.module, *self.arguments))


def lines(service: str, kind: str = "session", confdir: str = ETC) -> tuple[Line, ...]:
    """What PAM calls for the service; () where there is neither the service nor `other`."""
    directories = (ETC, VENDOR) if confdir == ETC else (confdir,)
    return tuple(_of(service, kind, directories)) or tuple(_of(OTHER, kind, directories))


def _of(
    name: str,
    kind: str,
    directories: tuple[str, ...],
    via: tuple[str, ...] = (),
    substacks: tuple[str, ...] = (),
) -> Iterator[Line]:
    found = _read(name, directories)
    if found is None or len(via) >= DEEPEST:
        return
    path, text = found
    for number, words in _assembled(text):
        control, rest = (words[0], words[1:]) if words[0] == _INCLUDE else _control(words, kind)
        if not rest:
            continue
        if control in (_INCLUDE, "include", "substack"):
            inside = (*substacks, f"{path}:{number}") if control == "substack" else substacks
            yield from _of(rest[0], kind, directories, (*via, path), inside)
        else:
            yield Line(path, number, control, os.path.basename(rest[0]), tuple(rest[1:]), via, substacks)


def _read(name: str, directories: tuple[str, ...]) -> tuple[str, str] | None:
    for directory in directories:
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return path, file.read()
        except OSError:
            continue
    return None


def _assembled(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines with their continuations, as words, and the number of the first. A comment ends a line for good; one
    that stands alone does not."""
    gathered, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        said, sharp, _ = line.partition("#")
        if not said.strip():
            continue
        first = first or number
        goes_on = not sharp and said.rstrip().endswith("\\")
        gathered += (said.rstrip()[:-1] if goes_on else said) + " "
        if not goes_on:
            yield first, _words(gathered)
            gathered, first = "", 0
    if gathered.strip():
        yield first, _words(gathered)


def _words(line: str) -> list[str]:
    """Blanks separate, brackets hold together; they are kept on a control alone, where they mean something."""
    words = []
    for at, found in enumerate(_WORD.finditer(line)):
        bracketed, plain = found.groups()
        if plain is not None:
            words.append(plain)
        elif at == 1:
            words.append(f"[{' '.join(bracketed.split())}]")
        else:
            words.append(bracketed.replace("\\]", "]"))
    return words


def _control(words: list[str], kind: str) -> tuple[str, list[str]]:
    """Control, and module with arguments; nothing where the line is of another kind. Words of PAM know no case."""
    if words[0].removeprefix("-").lower() != kind or len(words) < 2:
        return "", []
    control = words[1] if words[1].startswith("[") else words[1].lower()
    return control, words[2:]
