"""Errors, named by who must act. Anything that is not one of these is our own bug and keeps its traceback."""

from typing import NamedTuple

from paas_isolate.text import escaped


class PaasError(Exception):
    """Something that a person can mend. `str()` is the whole message, fit to be shown: its lines are escaped, each by
    itself, for what they quote may be anybody's."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(escaped, lines)))


class Complaint(NamedTuple):
    """One mistake (or warning) in a specification, as a small letter: where, found, expected, what to do.

    `line` and `column` count from 1; 0 where the whole file is meant.
    """

    file: str
    text: str
    line: int = 0
    column: int = 0
    key: str = ""
    warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        subject = f"{self.key} " if self.key else ""
        return escaped(f"{place}: {'warning: ' if self.warning else ''}{subject}{self.text}")


class SpecError(PaasError):
    """The author of the YAML must act. Carries every complaint, not the first alone."""

    def __init__(self, complaints: tuple[Complaint, ...]) -> None:
        super().__init__(*map(str, complaints))
        self.complaints = complaints


class HostError(PaasError):
    """The administrator of the machine must act: a controller, a mount, a unit or a right is missing."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, *(f"  {hint}".split("\n") if hint else ()))
        self.hint = hint


class BusyError(PaasError):
    """Another run holds the lock."""


def in_words(error: PaasError | OSError) -> str:
    """What went wrong, without the number that Python puts before it."""
    if not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename else ""
    return escaped(f"{place}{error.strerror or error}")
