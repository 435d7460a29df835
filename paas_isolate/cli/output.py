"""How things are said: complaints, outcomes, tables, JSON. Colours on a terminal only (click strips them).

The one door to standard output and standard error: what goes through it is escaped (text.py), whoever chose it.

Imports what it says things with only when it says them: the run of every minute mostly has nothing to say.
"""

from collections.abc import Iterable, Mapping, Sequence

from paas_isolate.errors import Trouble
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.text import escaped

_NAMED = 10
"""Accounts that one error is told of, of many."""

_COLOURS = {
    Status.DONE: "green",
    Status.GONE: "green",
    Status.SKIPPED: "yellow",
    Status.PENDING: "yellow",
    Status.FAILED: "red",
}


class Styled(str):
    """What is escaped already, and may have colours and lines of our own."""


def styled(word: str, colour: str, rest: str) -> Styled:
    """A word in colour, and what follows it as it is."""
    from click import style

    return Styled(style(word, fg=colour) + escaped(rest))


def line(text: str, *, fg: str | None = None, err: bool = False) -> None:
    """One line, whatever is in it."""
    from click import echo, style

    shown = text if isinstance(text, Styled) else escaped(text)
    echo(style(shown, fg=fg) if fg else shown, err=err)


def raw(text: bytes) -> None:
    """As it is, for a file or a pipe: never for a terminal."""
    from click import echo

    echo(text, nl=False)


def lines(text: str, *, fg: str | None = None, err: bool = False) -> None:
    """Where a text of ours has several: an error with its hint."""
    for each in text.split("\n"):
        line(each, fg=fg, err=err)


def bug(error: BaseException) -> None:
    """The traceback; what the message quotes begins no line of its own."""
    from traceback import format_exception

    for part in format_exception(error):
        first, *more = part.rstrip("\n").split("\n")
        line(first, err=True)
        for text in more:
            line(f"  {text}", err=True)


def print_json(data: object) -> None:
    """JSON escapes by itself, all that is not ASCII; what it says is as it was found."""
    import json

    line(Styled(json.dumps(data, indent=2, default=str)))


def complain(fleet: Fleet) -> None:
    """Everything that is wrong in the YAML, and what that means for whom, on standard error."""
    for complaint in fleet.complaints:
        line(str(complaint), fg="yellow" if complaint.warning else "red", err=True)
    for name, reason in fleet.on_last_good.items():
        state = "keeps its last good limits" if name in fleet.accounts else "stays as it is"
        line(f"{name}: {state}: {reason}", fg="yellow", err=True)
    broken(fleet.broken)


def broken(found: Mapping[str, Trouble]) -> None:
    """What nobody expected to be raised, with its traceback, on standard error: each once, with all whom it has hit.
    Every line begins with a name, for what was raised may be a customer's words."""
    by_place: dict[str, list[str]] = {}
    for name, each in found.items():
        by_place.setdefault(each.place, []).append(name)
    for names in by_place.values():
        first = found[names[0]]
        others = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        line(f"{', '.join(names[:_NAMED])}{others}: an error of paas-isolate's own: {first.what}", fg="red", err=True)
        for text in first.text.splitlines():
            line(f"{names[0]}| {text}", err=True)


def tell_reserved(fleet: Fleet) -> None:
    for name, keys in fleet.not_enforced().items():
        line(f"{name}: not enforced by this version: {', '.join(keys)}", err=True)


def outcome_line(outcome: Outcome, by: str = "") -> Styled:
    """`done     set pids.max of users/alice to 100 (was max)`; where it puts right what somebody did, `by` whom that
    was."""
    because = f": {outcome.reason}" if outcome.reason else ""
    changed = f"; changed by {by}" if by else ""
    return styled(f"{outcome.status:<8}", _COLOURS[outcome.status], f" {outcome.step}{because}{changed}")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> None:
    """Columns, as wide as they need to be: never cut, so that what is shown can be copied."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    flush = set(right)
    for title in titles:
        shown.add_column(title, justify="right" if title in flush else "left", no_wrap=True)
    for row in rows:
        shown.add_row(*map(escaped, row))
    # On a narrow terminal a line wraps; rich would cut names to `al…` instead. A program called `[/b]` is no markup.
    Console(highlight=False, markup=False, emoji=False, width=10_000).print(shown)


def words(mapping: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in mapping.items())
