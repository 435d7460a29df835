"""Errors, named by who must act. Any other exception is our own bug: it keeps its traceback, and only the account that
caused it is left out (`without_broken`)."""

import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from paas_isolate.text import escaped

Item = TypeVar("Item")
Result = TypeVar("Result")


class PaasError(Exception):
    """Something that a person can correct. `str()` is the whole message, safe to print: each line is escaped, because
    it may quote anybody's text."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(escaped, lines)))


class Complaint(NamedTuple):
    """One mistake (or warning) in a specification: where it is, what was found, what was expected, what to do.

    `line` and `column` count from 1; they are 0 when the complaint is about the whole file.
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
    """The author of the YAML must act. It has all complaints, not only the first."""

    def __init__(self, complaints: tuple[Complaint, ...]) -> None:
        super().__init__(*map(str, complaints))
        self.complaints = complaints


class HostError(PaasError):
    """The administrator of the machine must act: a controller, a mount, a unit or a right is missing. `hint` is the
    next step; it may have several lines."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, *(f"  {hint}".split("\n") if hint else ()))
        self.hint = hint


class BusyError(PaasError):
    """Another run holds the lock."""


class Trouble(NamedTuple):
    """An unexpected exception. `what` is its type and message in one line. `text` is its traceback; '' when it is a
    state of the machine (a full disk) and not our bug. `place` is where it was raised, and identifies it: the message
    may contain a pid and differ each time."""

    what: str
    place: str
    text: str


def trouble(error: BaseException) -> Trouble:
    """Describe an exception. All is escaped, because its message may quote a customer's text."""
    import traceback  # late: 3 ms, and only after an error

    frames = traceback.extract_tb(error.__traceback__)
    place = " ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in frames)
    what = escaped(" ".join("".join(traceback.format_exception_only(error)).split()))
    known = isinstance(error, OSError | PaasError)
    text = "" if known else "".join(traceback.format_exception(error)).rstrip("\n")
    return Trouble(what, f"{type(error).__name__} {place}", "\n".join(map(escaped, text.split("\n"))))


def without_broken(
    work: Callable[[Sequence[Item]], Result],
    items: Sequence[Item],
    part: Callable[[Sequence[Item]], object] | None = None,
) -> tuple[Result, dict[Item, Trouble]]:
    """Call `work` with all items. If it raises, find the items that cause that and call it without them.

    Returns what `work` returns, and the trouble of each item that was left out. The search calls `part` with halves,
    quarters and so on of the items. `part` is the share of `work` whose cost grows with the items (default: `work`).
    A PaasError is raised to the caller, since no single item causes it; so is an exception of `work` without items.
    """
    broken: dict[Item, Trouble] = {}
    while True:
        try:
            return work(items), broken
        except PaasError:
            raise
        except Exception as error:
            if not items:
                raise
            work(items[:0])
            broken |= _culprits(part if part and _raised(part, items) else work, items, error)
            items = [item for item in items if item not in broken]


def _culprits(work: Callable[[Sequence[Item]], object], items: Sequence[Item], error: Exception) -> dict[Item, Trouble]:
    """At least one of the items that together raise `error`."""
    if len(items) == 1:
        return {items[0]: trouble(error)}
    half = len(items) // 2
    culprits: dict[Item, Trouble] = {}
    for part in (items[:half], items[half:]):
        if own := _raised(work, part):
            culprits |= _culprits(work, part, own)
    if culprits:
        return culprits
    # Each half alone works, both together do not: the culprit is the first item that fails with those before it.
    last = bisect_left(range(len(items) - 1), True, key=lambda last: _raised(work, items[: last + 1]) is not None)
    return {items[last]: trouble(error)}


def _raised(work: Callable[[Sequence[Item]], object], items: Sequence[Item]) -> Exception | None:
    try:
        work(items)
    except PaasError:
        raise
    except Exception as error:  # noqa: BLE001
        return error
    return None


def in_words(error: PaasError | OSError) -> str:
    """The message of an error, without the number that Python puts before an OSError's. Escaped."""
    if not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename else ""
    return escaped(f"{place}{error.strerror or error}")
