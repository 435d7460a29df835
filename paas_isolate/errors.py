"""Errors, named by who must act. Anything that is not one of these is our own bug: it keeps its traceback, and costs no
more than the account that was worked on (`without_broken`)."""

import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from paas_isolate.text import escaped

Item = TypeVar("Item")
Result = TypeVar("Result")


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


class Trouble(NamedTuple):
    """An exception that nobody expected there. `what` says it in one line; `text` is its traceback, '' where it is the
    machine's word (a full disk) and not our bug. `place` is where it was raised, which tells it from others: its
    message may have a pid in it, and differ each time."""

    what: str
    place: str
    text: str


def trouble(error: BaseException) -> Trouble:
    """All that is to be known of an exception, fit to be shown: its message may be a customer's words."""
    import traceback  # only what should never happen pays for it

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
    """What `work` makes of all items; where it raises, of those that it can be done for, and what the others raised.

    Costs nothing while nothing is raised. Then `part` is done again and again, with halves and halves of halves: the
    same for some of the items, whose cost is theirs alone (`work`, where that has no other cost). What a person can
    mend (PaasError) is nobody's of the items, nor is what is raised without any: it is raised here too.
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
    """One at least of those that together raise `error`."""
    if len(items) == 1:
        return {items[0]: trouble(error)}
    half = len(items) // 2
    found: dict[Item, Trouble] = {}
    for part in (items[:half], items[half:]):
        if own := _raised(work, part):
            found |= _culprits(work, part, own)
    if found:
        return found
    # Each half can be worked on, and both together cannot: it is the first that does not fit those before it.
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
    """What went wrong, without the number that Python puts before it."""
    if not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename else ""
    return escaped(f"{place}{error.strerror or error}")
