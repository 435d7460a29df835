"""What top shows: keys, and lines from rows. All pure."""

import io
from datetime import datetime

import pytest
from rich.console import Console, RenderableType

from paas_isolate.cli.screen import draw
from paas_isolate.cli.screen.draw import ASCII, BLOCKS, HEAD, Summary, glyphs_of
from paas_isolate.cli.screen.state import Key, Shown, keys_of, pressed, scrolled
from paas_isolate.live.machine import MachineUse
from paas_isolate.live.processes import ProcessRow
from paas_isolate.live.rates import CgroupLimits, Row
from paas_isolate.metering.rates import Rates
from paas_isolate.metering.reading import Levels

MB = 1 << 20
PATHS = [f"account{number:02}" for number in range(50)]
USE = MachineUse(4, 0.5, 12 << 30, 32 << 30, 0.02, 0.0, None)
SUMMARY = Summary(datetime(2026, 10, 25, 14, 3, 22), USE, 20_000, 812, True)


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"", []),
        (b"q", ["q"]),
        (b"Q", ["q"]),
        (b"\x1b[A\x1b[Bm", [Key.UP, Key.DOWN, "m"]),
        (b"\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[4~", [Key.UP, Key.PAGE_UP, Key.PAGE_DOWN, Key.HOME, Key.END]),
        (b"\r\n\x7f\x1b", [Key.ENTER, Key.ENTER, Key.BACK, Key.BACK]),
        (b"gG", [Key.HOME, Key.END]),
        (b"\x1b[200~\x1b[1;5Cx\xc3\xa4\x00", []),
        (b"\x1b[", []),
        (b"\x1bO", []),
        (b"\x1b[<0;10;10M", []),
    ],
)
def test_keys_in_what_a_terminal_sends(typed: bytes, keys: list[str]) -> None:
    assert keys_of(typed) == keys


def test_the_cursor_stays_with_its_account_and_is_always_shown() -> None:
    shown = Shown()
    for key in (Key.DOWN, Key.PAGE_DOWN, Key.PAGE_DOWN, Key.UP):
        shown = pressed(shown, key, PATHS, 10)
    assert (shown.selected, shown.first) == ("account20", 12)
    other = ["account20", *PATHS[:20], *PATHS[21:]]
    assert scrolled(shown, other, 10).first == 0
    assert scrolled(shown, other, 10).selected == "account20"
    shown = pressed(shown, Key.END, PATHS, 10)
    assert (shown.selected, shown.first) == ("account49", 40)
    assert scrolled(shown, PATHS[:5], 10).first == 0
    assert pressed(shown, Key.HOME, PATHS, 10).first == 0


def test_sorting_begins_at_the_top_again() -> None:
    shown = pressed(Shown(selected="account20", first=12), "m", PATHS, 10)
    assert shown == Shown(by="memory")
    shown = pressed(shown, Key.REVERSE, PATHS, 10)
    assert shown == Shown(by="memory", reverse=True)
    assert pressed(shown, "c", PATHS, 10) == Shown(by="cpu")


def test_entering_and_coming_back() -> None:
    shown = pressed(Shown(by="io", selected="account07"), Key.ENTER, PATHS, 10)
    assert shown.entered == "account07"
    assert pressed(shown, "m", [], 10) == shown
    assert pressed(shown, Key.DOWN, [], 10).scrolled == 1
    assert pressed(shown, Key.UP, [], 10).scrolled == 0
    assert pressed(shown, Key.BACK, [], 10) == Shown(by="io", selected="account07")
    assert pressed(shown, Key.QUIT, [], 10).ended


@pytest.mark.parametrize("key", [*Key, "c", "n"])
@pytest.mark.parametrize("height", [1, 10])
def test_every_key_works_without_accounts(key: str, height: int) -> None:
    shown = pressed(Shown(selected="gone"), key, [], height)
    assert shown.first == 0 and not shown.entered
    assert shown.ended == (key == Key.QUIT)


def printed(screen: RenderableType, width: int, encoding: str = "utf-8") -> list[str]:
    console = Console(
        file=io.TextIOWrapper(io.BytesIO(), encoding), width=width, markup=False, highlight=False, emoji=False
    )
    with console.capture() as capture:
        console.print(screen)
    return capture.get().splitlines()


def row(name: str, **limits: float) -> Row:
    levels = Levels(memory=384 * MB, pids=12, own=256 * MB)
    some = CgroupLimits(**limits)  # type: ignore[arg-type]
    return Row(name, name, Rates(1.5, 0.0, 2e6, 0.0, 0.3, 0.0, 0.01), levels, 7, some)


BUSY = row("alice", cpu=2.0, memory=512 * MB, pids=20)
FREE = row("bob")


@pytest.mark.parametrize("glyphs", [BLOCKS, ASCII])
@pytest.mark.parametrize("width", [80, 100, 116, 160, 250])
def test_every_line_fits(width: int, glyphs: draw.Glyphs) -> None:
    rows = [
        BUSY,
        FREE,
        row("a" * 200),
        row("\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 50),
        Row("new", "new", Rates(), Levels()),
    ]
    lines = printed(draw.accounts_screen(SUMMARY, Shown(), rows, 1, width, glyphs), width)
    assert len(lines) == HEAD + len(rows)
    assert all(len(line) <= width for line in lines)
    assert draw.foot(False, width, glyphs).cell_len <= width


def test_a_limit_has_a_bar_and_a_percentage_and_no_limit_has_none() -> None:
    *_, busy, free = printed(draw.accounts_screen(SUMMARY, Shown(), [BUSY, FREE], -1, 80, BLOCKS), 80)
    assert busy.split()[:2] == ["alice", "1.50"]
    assert "75%" in busy and "█" in busy and "▒" in busy
    assert "%" not in free.replace("30%", "")  # what waited
    assert free.count("unlimited") == 2


def test_a_wide_window_has_a_bar_for_processes() -> None:
    *_, busy = printed(draw.accounts_screen(SUMMARY, Shown(), [BUSY], -1, 140, BLOCKS), 140)
    assert "60%" in busy and "256M" in busy


HOSTILE = "[red]\x1b[31m\x07\u202e\n[/b] :smile:"


def test_hostile_text_is_neither_control_characters_nor_markup() -> None:
    name = "[b]\x1b\x07\n:x:"
    process = ProcessRow(7, "web", "sleeping", None, MB, 1, 3.0, HOSTILE)
    screens = [
        draw.accounts_screen(SUMMARY, Shown(), [row(name)], 0, 200, BLOCKS),
        draw.account_screen(SUMMARY, Shown(), [row(name)], [process], 1, 200, BLOCKS),
    ]
    for screen in screens:
        text = "\n".join(printed(screen, 200))
        assert "[b]\\x1b\\x07\\n:x:" in text
        assert text.replace("\n", "").isprintable()
    assert "[red]\\x1b[31m\\x07\\u202e\\n[/b] :smile:" in text


def test_bars() -> None:
    assert draw.bar(4, 0.0, ASCII).plain == "...."
    assert draw.bar(4, 0.5, ASCII).plain == "||.."
    assert draw.bar(4, 7.0, ASCII).plain == "||||"
    assert draw.bar(4, 1.0, ASCII, cache=0.5).plain == "||::"
    assert draw.bar(4, 0.55, BLOCKS).plain == "██▎·"
    assert draw.bar(2, 0.001, BLOCKS).plain == "··"


@pytest.mark.parametrize(
    ("encoding", "glyphs"), [("utf-8", BLOCKS), ("ascii", ASCII), ("latin-1", ASCII), ("nonsense", ASCII)]
)
def test_characters_that_the_terminal_has(encoding: str, glyphs: draw.Glyphs) -> None:
    assert glyphs_of(encoding) == glyphs


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (59, "59s"), (90, "2m"), (7200, "2h"), (864_000, "10d")])
def test_ages(seconds: float, text: str) -> None:
    assert draw.age(seconds) == text
