"""From rows to the lines of a screen. Names and commands are escaped, and never markup."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paas_isolate.cli.screen.state import ORDER_KEYS, Shown
from paas_isolate.live.machine import MachineUse
from paas_isolate.live.processes import ProcessRow
from paas_isolate.live.rates import Row, of_limit
from paas_isolate.text import counted, escaped
from paas_isolate.units import short_size

WIDE = 116
"""Columns from which on all that has a limit has a bar."""
HEAD = 4
"""Lines above the rows, with the titles of the columns."""
_BUSY, _FULL = 0.75, 0.9
"""Shares of a limit from which on a bar is yellow, or red."""
_SOME_WAIT, _MUCH_WAIT = 0.05, 0.25
"""Shares of the time from which on waiting is yellow, or red."""
_CURSOR = "bold white on blue"


class Glyphs(NamedTuple):
    """The characters of bars: parts of a full one from the narrowest on, what memory's cache is drawn with, the
    rest."""

    parts: str
    cache: str
    rest: str
    up: str
    down: str


BLOCKS = Glyphs("▏▎▍▌▋▊▉█", "▒", "·", "↑", "↓")
ASCII = Glyphs("|", ":", ".", "^", "v")


def glyphs_of(encoding: str) -> Glyphs:
    """Block characters where the terminal's encoding has them."""
    try:
        "".join(BLOCKS).encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return BLOCKS


def bar(width: int, share: float, glyphs: Glyphs, *, cache: float = 0.0) -> Text:
    """A bar of so many characters. `share` of it is full. Of that the part `cache`, at its end, is memory that the
    kernel takes back when somebody needs it: it is shaded, and the colour is that of the rest."""
    share = max(0.0, min(1.0, share))
    solid = max(0.0, share - max(0.0, cache))
    colour = "red" if solid >= _FULL else "yellow" if solid >= _BUSY else "green"
    whole, part = divmod(round(solid * width * len(glyphs.parts)), len(glyphs.parts))
    text = glyphs.parts[-1] * whole + (glyphs.parts[part - 1] if part else "")
    shaded = max(0, round(share * width) - len(text)) if cache > 0 else 0
    rest = glyphs.rest * (width - len(text) - shaded)
    return Text.assemble((text, colour), (glyphs.cache * shaded, f"dim {colour}"), (rest, "bright_black"))


def percent(share: float | None) -> str:
    """Four letters at the most."""
    return "-" if share is None else f"{min(999.0, share * 100):.0f}%"


def _cores(cores: float | None) -> str:
    return "-" if cores is None else f"{cores:.2f}" if cores < 99.995 else f"{cores:.0f}"


def _size(size: float | None) -> str:
    return "-" if size is None else short_size(size)


def _count(number: int | None) -> str:
    return "-" if number is None else str(number) if number < 100_000 else f"{number // 1000}k"


def _of(use: float | None, limit: float | None, width: int, glyphs: Glyphs, *, cache: float = 0.0) -> Text:
    """A bar and a percentage, or the word that there is no limit."""
    share = of_limit(use, limit)
    if share is None:
        word = "unlimited" if use is not None and limit is None else "-"
        return Text(word.rjust(width + 5), style="bright_black")
    return Text.assemble(bar(width, share, glyphs, cache=cache), (percent(share).rjust(5), ""))


def _memory(row: Row, width: int, glyphs: Glyphs) -> Text:
    memory, own, limit = row.levels.memory, row.levels.own, row.limits.memory
    cache = 0.0 if memory is None or own is None or not limit else (memory - own) / limit
    return _of(memory, limit, width, glyphs, cache=cache)


def _wait(share: float | None) -> Text:
    style = "" if not share or share < _SOME_WAIT else "red" if share >= _MUCH_WAIT else "yellow"
    return Text(percent(share), style=style)


def _faults(number: int | None) -> Text:
    return Text("-" if number is None else str(min(number, 9999)), style="bold red" if number else "bright_black")


def accounts_table(
    rows: Sequence[Row], width: int, glyphs: Glyphs, *, by: str = "", chosen: int = -1, of_leaves: bool = False
) -> Table:
    """A table of these rows and no others; the row `chosen` is under the cursor. The column that the order is `by` is
    marked."""
    wide = width >= WIDE
    length = min(24, (width - 92) // 3) if wide else 7
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, expand=True, header_style="bold")

    def column(title: str, order: str, width: int | None, *, left: bool = False) -> None:
        table.add_column(
            Text(title, style="reverse" if order and order == by else ""),
            justify="left" if left else "right",
            width=width,
            ratio=1 if width is None else None,
            no_wrap=True,
            overflow="ellipsis",
        )

    column("LEAF" if of_leaves else "ACCOUNT", "name", None, left=True)
    column("CPU", "cpu", 5)
    column("OF LIMIT", "", length + 5, left=True)
    column("MEM", "memory", 4)
    if wide:
        column("OWN", "", 4)
    column("OF LIMIT", "", length + 5, left=True)
    column("PROC", "processes", 5)
    if wide:
        column("OF LIMIT", "", length + 5, left=True)
    column("READ", "io", 4)
    column("WRIT", "io", 4)
    for title in ("W.CPU", "W.MEM", "W.IO") if wide else ("WAIT",):
        column(title, "pressure", 5 if wide else 4)
    column("FLT", "faults", 4)
    for number, row in enumerate(rows):
        rates, levels, limits = row.rates, row.levels, row.limits
        cells: list[RenderableType] = [
            Text(_name(row, of_leaves)),
            _cores(rates.cpu),
            _of(rates.cpu, limits.cpu, length, glyphs),
            _size(levels.memory),
            *([_size(levels.own)] if wide else []),
            _memory(row, length, glyphs),
            _count(levels.pids),
            *([_of(levels.pids, limits.pids, length, glyphs)] if wide else []),
            _rate(rates.read, limits.read),
            _rate(rates.written, limits.written),
            *map(_wait, (rates.cpu_wait, rates.memory_wait, rates.io_wait) if wide else (rates.wait,)),
            _faults(row.faults),
        ]
        table.add_row(*cells, style=_CURSOR if number == chosen else None)
    return table


def _name(row: Row, of_leaves: bool) -> str:
    if not of_leaves:
        return escaped(row.name)
    return f"  {escaped(row.leaf)}" if row.leaf else escaped(row.name)


def _rate(rate: float | None, limit: int | None) -> Text:
    share = of_limit(rate, limit)
    style = "" if share is None or share < _BUSY else "red" if share >= _FULL else "yellow"
    return Text(_size(rate), style=style if rate else "bright_black")


def processes_table(rows: Iterable[ProcessRow]) -> Table:
    """A table of these processes."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, expand=True, header_style="bold")
    for title, width in (("PID", 7), ("LEAF", 10), ("STATE", 10), ("CPU", 5), ("MEM", 4), ("THR", 4), ("AGE", 5)):
        left = title in ("LEAF", "STATE")
        table.add_column(title, width=width, justify="left" if left else "right", no_wrap=True, overflow="ellipsis")
    table.add_column("COMMAND", ratio=1, no_wrap=True, overflow="ellipsis")
    for row in rows:
        cells = (
            str(row.pid),
            escaped(row.leaf),
            row.state,
            _cores(row.cpu),
            _size(row.memory),
            _count(row.threads),
            age(row.age),
            escaped(row.command),
        )
        table.add_row(*map(Text, cells))
    return table


def age(seconds: float) -> str:
    """Five letters at the most."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


class Summary(NamedTuple):
    """What stands above the rows."""

    at: datetime
    machine: MachineUse
    accounts: int
    active: int
    from_ledger: bool


def head(summary: Summary, shown: Shown, title: str, width: int, glyphs: Glyphs) -> list[Text]:
    """Three lines. `title` is the account that is shown, '' for all."""
    machine = summary.machine
    order = f"by {shown.by}{', reversed' if shown.reverse else ''}"
    first = Text.assemble(
        ("paas-isolate top ", "bold"),
        f"{summary.at:%H:%M:%S}  ",
        *([("account ", ""), (escaped(title), "bold cyan")] if title else []),
        "" if title else f"{counted(summary.accounts, 'account')}, {summary.active} active, {order}",
    )
    length = max(6, min(24, (width - 60) // 2))
    second = Text.assemble(
        ("machine  ", "bright_black"),
        "CPU ",
        bar(length, machine.cpu or 0.0, glyphs),
        f"{percent(machine.cpu):>5} of {counted(machine.cores, 'core')}  MEM ",
        bar(length, machine.memory / machine.total, glyphs),
        f" {short_size(machine.memory)} of {short_size(machine.total)}",
    )
    faults = "in the last hour" if summary.from_ledger else "since top began"
    third = Text.assemble(
        ("waiting  ", "bright_black"),
        "cpu ",
        _wait(machine.cpu_wait),
        "  memory ",
        _wait(machine.memory_wait),
        "  io ",
        _wait(machine.io_wait),
        (f"   faults (FLT): {faults}", "bright_black"),
    )
    lines = [first, second, third]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def foot(entered: bool, width: int, glyphs: Glyphs) -> Text:
    """The keys, as many as fit."""
    arrows = f"{glyphs.up}{glyphs.down}"
    keys = [(arrows, "scroll"), ("Esc", "back"), ("q", "quit")]
    if not entered:
        orders = {"processes": "procs", "pressure": "wait", "memory": "mem"}
        keys = [(arrows, ""), ("Enter", "open"), ("q", "quit")]
        keys += [(key, orders.get(name, name)) for key, name in ORDER_KEYS.items()]
        keys.append(("r", "reverse"))
    line = Text()
    for key, word in keys:
        line.append(key, style="bold reverse").append(f" {word} " if word else " ")
    line.truncate(width)
    return line


def accounts_screen(
    summary: Summary, shown: Shown, rows: Sequence[Row], chosen: int, width: int, glyphs: Glyphs
) -> RenderableType:
    """The screen of all accounts, HEAD lines and one for each of the `rows`, which are those that fit."""
    table = accounts_table(rows, width, glyphs, by=shown.by, chosen=chosen)
    return Group(*head(summary, shown, "", width, glyphs), table)


def account_screen(
    summary: Summary,
    shown: Shown,
    rows: Sequence[Row],
    processes: Sequence[ProcessRow],
    number: int,
    width: int,
    glyphs: Glyphs,
) -> RenderableType:
    """The screen of one account with its leaves, and of the `processes`, of `number`, that fit."""
    title = rows[0].name if rows else shown.entered
    told = Text(f"{number} process{'' if number == 1 else 'es'}", style="bold")
    if not rows:
        told = Text("it has no cgroup", style="yellow")
    lines: list[RenderableType] = [
        *head(summary, shown, title, width, glyphs),
        accounts_table(rows, width, glyphs, of_leaves=True),
    ]
    return Group(*lines, Text(), told, processes_table(processes))


def above_processes(rows: Sequence[Row]) -> int:
    """The lines of `account_screen` that are no processes."""
    return HEAD + len(rows) + 3


def whole(screen: RenderableType, used: int, height: int, keys: Text) -> RenderableType:
    """A screen of `used` lines, with the keys in the last line of the window."""
    return Group(screen, *[Text()] * (height - used - 1), keys)
