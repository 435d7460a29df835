"""Reads the stack of modules of a PAM service, with all files that it includes. See pam.conf(5), pam.d(5).

The result is what libpam makes of the files: the lines of one kind in the order in which they are called, each with the
file and line to edit. Files that cannot be read are left out, although libpam would refuse the login.
"""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

ETC = "/etc/pam.d"
VENDOR = "/usr/lib/pam.d"
"""Where Debian's libpam looks for a service that /etc/pam.d does not have (systemd-user, on Debian 13)."""

OTHER = "other"
"""The service whose lines count for a service that has no lines of a kind."""

DEEPEST = 16
"""PAM_SUBSTACK_MAX_LEVEL of libpam: files that include each other are read no deeper than this."""

_INCLUDE = "@include"  # a Debian patch
_WORD = re.compile(r"\[((?:\\.|[^]\\])*)\]|(\S+)")


class Line(NamedTuple):
    """One call of a module. `control` is as written, with single blanks (`[success=1 default=ignore]`). `module` is the
    base name. `via` are the files whose includes led to `file`, the service's own first. `substacks` are the places of
    the substack lines that the line is below, the outermost first: jumps and `done` stay inside a substack."""

    file: str
    number: int
    control: str
    module: str
    arguments: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    substacks: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """`FILE:LINE`, for messages."""
        return f"{self.file}:{self.number}"

    @property
    def said(self) -> str:
        """The line without the word `session`, as `profile.lines` has it."""
        return " ".join((self.control, self.module, *self.arguments))


def lines(service: str, kind: str = "session", confdir: str = ETC) -> tuple[Line, ...]:
    """The lines of `kind` that PAM calls for the service; () when neither it nor `other` has any. `confdir` is read
    instead of /etc/pam.d and VENDOR."""
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
    """Each line with its continuations: the number of the first, and the words. A line with a comment at its end is not
    continued; a comment line between two parts of a line is left out."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        content, sharp, _ = line.partition("#")
        if not content.strip():
            continue
        first = first or number
        continues = not sharp and content.rstrip().endswith("\\")
        joined += (content.rstrip()[:-1] if continues else content) + " "
        if not continues:
            yield first, _words(joined)
            joined, first = "", 0
    if joined.strip():
        yield first, _words(joined)


def _words(line: str) -> list[str]:
    """Blanks separate words, except in brackets. The brackets are kept only on a control, where they have a meaning."""
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
    """The control; and the module with its arguments, [] for a line of another kind. PAM ignores case in both words."""
    if words[0].removeprefix("-").lower() != kind or len(words) < 2:
        return "", []
    control = words[1] if words[1].startswith("[") else words[1].lower()
    return control, words[2:]
