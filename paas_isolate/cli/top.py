"""top: what accounts use now, beside their limits."""

import errno
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from shutil import get_terminal_size

import click
from rich.console import Console, RenderableType
from rich.live import Live

from paas_isolate.cli import output
from paas_isolate.cli.options import Duration, as_json
from paas_isolate.cli.screen import draw
from paas_isolate.cli.screen.draw import Summary
from paas_isolate.cli.screen.state import Shown, keys_of, position, pressed, scrolled
from paas_isolate.cli.screen.terminal import Terminal
from paas_isolate.errors import HostError
from paas_isolate.exits import Exit
from paas_isolate.installation import Installation, need_root, unknown
from paas_isolate.live import machine, processes, rates
from paas_isolate.live.accounts import LiveAccounts
from paas_isolate.live.machine import MachineReader
from paas_isolate.live.processes import ProcessReader, ProcessRow
from paas_isolate.live.rates import NAME, ORDERS, Row, ordered

_ONCE = 20
"""Accounts that --once and --json show."""
_REST = 4
"""It waits so many times as long as reading took: a fifth of a core at the most, whatever --every says."""


@click.command()
@click.argument("account", default="")
@click.option("--every", type=Duration(min=0.1), default=2.0, metavar="SECONDS", help="Time between two readings (2).")
@click.option("--sort", "by", type=click.Choice([*ORDERS, NAME]), default="cpu", help="The order (cpu).")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="NUMBER", help="At most so many accounts (with --once 20)."
)
@click.option("--once", is_flag=True, help="Print one picture, and end.")
@as_json
@click.pass_obj
def top(
    installation: Installation, account: str, every: float, by: str, limit: int | None, once: bool, as_json: bool
) -> int:
    """Show what accounts use now beside their limits, or one of them with its leaves and processes.

    Arrows move, Enter opens an account, Esc goes back, q ends. c, m, p, i, w, f and n sort by CPU, memory, processes,
    IO, waiting, faults and name; r reverses. It needs no metering. Without a terminal it is --once.
    """
    need_root()
    fleet = installation.fleet()
    with installation.tree(fleet) as (cgroups, _):
        accounts = LiveAccounts(fleet, cgroups, installation.ledger)
        try:
            look = _Look(accounts, Shown(by=by), limit)
            if account:
                directory = accounts.directory_of(account)
                if not directory and account not in fleet.accounts:
                    raise unknown(account, fleet)
                if not directory:
                    raise HostError(f"{account} has no cgroup", hint="paas-isolate reconcile makes it")
                look.shown = look.shown._replace(entered=directory, selected=directory)
            if as_json or once or not _is_screen():
                look.limit = limit or _ONCE
                return _once(look, every, as_json=as_json)
            return _watch(look, every)
        finally:
            accounts.close()


def _is_screen() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


class _Look:
    """What was read last, and what of it is shown."""

    def __init__(self, accounts: LiveAccounts, shown: Shown, limit: int | None) -> None:
        self.accounts, self.shown, self.limit = accounts, shown, limit
        self.machine = MachineReader()
        self.processes = ProcessReader()
        self.seen: Sequence[Row] = ()
        """All accounts in their order, or the account that is entered and its leaves."""
        self.running: Sequence[ProcessRow] = ()
        self.every: Sequence[Row] = ()
        self.summary: Summary

    def read(self) -> None:
        self.every = list(self.accounts.read())
        use = self.machine.read()
        self.summary = Summary(
            datetime.now(), use, self.accounts.number, self.accounts.active, self.accounts.from_ledger
        )
        self._see()

    def _see(self) -> None:
        if self.shown.entered:
            self.seen = self.accounts.enter(self.shown.entered)
            self.running = self.processes.read(self.shown.entered, self.accounts.pids(self.seen))
            return
        self.seen = ordered(self.every, self.shown.by, reverse=self.shown.reverse)[: self.limit]

    def press(self, key: str, height: int) -> None:
        before = self.shown
        paths = [] if before.entered else [row.path for row in self.seen]
        self.shown = pressed(before, key, paths, _rows(height))
        now = self.shown
        if (now.by, now.reverse, now.entered) != (before.by, before.reverse, before.entered):
            self._see()

    def picture(self, width: int, height: int, glyphs: draw.Glyphs) -> RenderableType:
        """What fits into a window. Only these rows are drawn, and only their limits are read."""
        if self.shown.entered:
            used = draw.above_processes(self.seen)
            room = max(1, height - used - 1)
            first = min(self.shown.scrolled, max(0, len(self.running) - room))
            self.shown = self.shown._replace(scrolled=first)
            some = self.running[first : first + room]
            screen = draw.account_screen(self.summary, self.shown, self.seen, some, len(self.running), width, glyphs)
            return draw.whole(screen, used + len(some), height, draw.foot(True, width, glyphs))
        paths = [row.path for row in self.seen]
        self.shown = scrolled(self.shown, paths, _rows(height))
        first = self.shown.first
        rows = self.accounts.limited(self.seen[first : first + _rows(height)])
        chosen = position(self.shown, paths) - first
        screen = draw.accounts_screen(self.summary, self.shown, rows, chosen, width, glyphs)
        return draw.whole(screen, draw.HEAD + len(rows), height, draw.foot(False, width, glyphs))


def _rows(height: int) -> int:
    return max(1, height - draw.HEAD - 1)


def _once(look: _Look, every: float, *, as_json: bool) -> int:
    begun = time.monotonic()
    look.read()
    time.sleep(every)
    look.read()
    entered = bool(look.shown.entered)
    rows = look.seen if entered else look.accounts.limited(look.seen)
    if as_json:
        output.print_json(
            {
                "time": look.summary.at.astimezone().isoformat(timespec="seconds"),
                "seconds": round(time.monotonic() - begun, 3),
                "machine": machine.plain(look.summary.machine),
                "accounts": look.summary.accounts,
                "active": look.summary.active,
                "rows": list(map(rates.plain, rows)),
                "processes": list(map(processes.plain, look.running)),
            }
        )
        return Exit.CONVERGED
    glyphs, width = draw.glyphs_of(sys.stdout.encoding), get_terminal_size((100, 24)).columns
    if entered:
        few = look.running[: look.limit]
        screen = draw.account_screen(look.summary, look.shown, rows, few, len(look.running), width, glyphs)
    else:
        screen = draw.accounts_screen(look.summary, look.shown, rows, -1, width, glyphs)
    output.drawn(screen, width)
    return Exit.CONVERGED


def _watch(look: _Look, every: float) -> int:
    """Until a key or a signal ends it. A signal ends the program as it would have without us."""
    while True:
        console = Console(highlight=False, markup=False, emoji=False)
        try:
            with (
                Terminal(sys.stdin.fileno()) as terminal,
                Live(
                    console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
                ) as live,
            ):
                _follow(look, every, terminal, live)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would be written at the exit
            return Exit.ERROR  # the terminal is gone
        if terminal.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if not terminal.signal:
            return Exit.CONVERGED
        if terminal.signal != signal.SIGTSTP:
            signal.signal(terminal.signal, signal.SIG_DFL)
        os.kill(os.getpid(), terminal.signal)  # SIGTSTP: on with the loop when the shell says so


def _follow(look: _Look, every: float, terminal: Terminal, live: Live) -> None:
    console, due = live.console, 0.0
    glyphs = draw.glyphs_of(console.encoding)
    while not look.shown.ended:
        now = time.monotonic()
        if now >= due:
            look.read()
            done = time.monotonic()
            due = max(now + every, done + _REST * (done - now))
        width, height = console.size
        live.update(look.picture(width, height, glyphs), refresh=True)
        typed = terminal.wait(due - time.monotonic())
        if typed is None:
            return
        for key in keys_of(typed):
            look.press(key, height)
