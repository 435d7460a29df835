"""Prints complaints, outcomes, tables and JSON. Colours appear on a terminal only (click strips them elsewhere).

Only this module writes to standard output and standard error. It escapes all text (text.py), whoever chose it.

click, rich and json are imported by the functions that use them, because the run of every minute mostly prints
nothing: click takes 19 ms, rich another 19, json 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from paas_isolate.errors import Trouble
from paas_isolate.model.account import Fleet
from paas_isolate.model.outcome import Outcome, Status
from paas_isolate.text import escaped

if TYPE_CHECKING:
    from rich.console import RenderableType

_NAMED = 10
"""How many accounts are named that one error has hit."""

_COLOURS = {
    Status.DONE: "green",
    Status.GONE: "green",
    Status.SKIPPED: "yellow",
    Status.PENDING: "yellow",
    Status.FAILED: "red",
}


class Styled(str):
    """Text that is already escaped. It may contain colours and line ends of our own."""


def styled(word: str, colour: str, rest: str) -> Styled:
    """`word` in `colour`, followed by `rest` without colour. `rest` is escaped here, `word` is not."""
    from click import style

    return Styled(style(word, fg=colour) + escaped(rest))


def line(text: str, *, fg: str | None = None, err: bool = False) -> None:
    """Print one line. The text is escaped, unless it is Styled."""
    from click import echo, style

    shown = text if isinstance(text, Styled) else escaped(text)
    echo(style(shown, fg=fg) if fg else shown, err=err)


def raw(text: bytes) -> None:
    """Print bytes unescaped. For a file or a pipe, never for a terminal."""
    from click import echo

    echo(text, nl=False)


def lines(text: str, *, fg: str | None = None, err: bool = False) -> None:
    """Print a text of ours that has several lines, such as an error with its hint."""
    for part in text.split("\n"):
        line(part, fg=fg, err=err)


def bug(error: BaseException) -> None:
    """Print the traceback. All lines but the first of each part are indented, so no quoted text starts a line."""
    from traceback import format_exception  # late: 3 ms

    for part in format_exception(error):
        first, *more = part.rstrip("\n").split("\n")
        line(first, err=True)
        for text in more:
            line(f"  {text}", err=True)


def print_json(data: object) -> None:
    """Print indented JSON. It escapes all that is not ASCII; values are otherwise unchanged."""
    import json

    line(Styled(json.dumps(data, indent=2, default=str)))


def complain(fleet: Fleet) -> None:
    """Print on standard error all that is wrong in the YAML, and what that means for each account."""
    for complaint in fleet.complaints:
        line(str(complaint), fg="yellow" if complaint.warning else "red", err=True)
    for name, reason in fleet.on_last_good.items():
        state = "keeps its last good limits" if name in fleet.accounts else "stays as it is"
        line(f"{name}: {state}: {reason}", fg="yellow", err=True)
    broken(fleet.broken)


def broken(troubles: Mapping[str, Trouble]) -> None:
    """Print on standard error our own bugs, by account: each once, with its traceback and the accounts that it has hit.
    Every line begins with an account's name, because the message may quote a customer's text."""
    by_place: dict[str, list[str]] = {}
    for name, trouble in troubles.items():
        by_place.setdefault(trouble.place, []).append(name)
    for names in by_place.values():
        first = troubles[names[0]]
        others = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        line(f"{', '.join(names[:_NAMED])}{others}: an error of paas-isolate's own: {first.what}", fg="red", err=True)
        for text in first.text.splitlines():
            line(f"{names[0]}| {text}", err=True)


def tell_reserved(fleet: Fleet) -> None:
    """Print on standard error the keys that are valid but that this version does not enforce."""
    for name, keys in fleet.not_enforced().items():
        line(f"{name}: not enforced by this version: {', '.join(keys)}", err=True)


def outcome_line(outcome: Outcome, by: str = "") -> Styled:
    """`done     set pids.max of users/alice to 100 (was max)`. `by` names who caused the repaired difference."""
    because = f": {outcome.reason}" if outcome.reason else ""
    changed = f"; changed by {by}" if by else ""
    return styled(f"{outcome.status:<8}", _COLOURS[outcome.status], f" {outcome.step}{because}{changed}")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[str] = ()) -> None:
    """Print a table. No cell is cut, so that it can be copied. `right` has the titles of right-aligned columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    right_aligned = set(right)
    for title in titles:
        drawn.add_column(title, justify="right" if title in right_aligned else "left", no_wrap=True)
    for row in rows:
        drawn.add_row(*map(escaped, row))
    # On a narrow terminal a line wraps; rich would cut names to `al…` instead. A program called `[/b]` is not markup.
    Console(highlight=False, markup=False, emoji=False, width=10_000).print(drawn)


def drawn(picture: "RenderableType", width: int) -> None:
    """Print what rich draws, of which every text is escaped already. Lines have no blanks at their end."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, width=width)
    with console.capture() as capture:
        console.print(picture)
    for text in capture.get().splitlines():
        line(Styled(text.rstrip()))


def words(mapping: Mapping[str, str]) -> str:
    """`key value, key value`."""
    return ", ".join(f"{key} {value}" for key, value in mapping.items())
