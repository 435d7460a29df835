"""What is shown, and what each key changes in it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from paas_isolate.live.rates import NAME


class Key(StrEnum):
    """The keys that do something, but those of ORDER_KEYS."""

    UP = "up"
    DOWN = "down"
    PAGE_UP = "page up"
    PAGE_DOWN = "page down"
    HOME = "home"
    END = "end"
    ENTER = "enter"
    BACK = "back"
    REVERSE = "r"
    QUIT = "q"


ORDER_KEYS = {"c": "cpu", "m": "memory", "p": "processes", "i": "io", "w": "pressure", "f": "faults", "n": NAME}
_SEQUENCES = {
    b"\x1b[A": Key.UP,
    b"\x1bOA": Key.UP,
    b"k": Key.UP,
    b"\x1b[B": Key.DOWN,
    b"\x1bOB": Key.DOWN,
    b"j": Key.DOWN,
    b"\x1b[5~": Key.PAGE_UP,
    b"\x1b[6~": Key.PAGE_DOWN,
    b" ": Key.PAGE_DOWN,
    b"\x1b[H": Key.HOME,
    b"\x1bOH": Key.HOME,
    b"\x1b[1~": Key.HOME,
    b"g": Key.HOME,
    b"\x1b[F": Key.END,
    b"\x1bOF": Key.END,
    b"\x1b[4~": Key.END,
    b"G": Key.END,
    b"\r": Key.ENTER,
    b"\n": Key.ENTER,
    b"\x1b[C": Key.ENTER,
    b"\x1bOC": Key.ENTER,
    b"\x1b[D": Key.BACK,
    b"\x1bOD": Key.BACK,
    b"\x7f": Key.BACK,
    b"\x08": Key.BACK,
    b"\x1b": Key.BACK,
}


def keys_of(typed: bytes) -> list[str]:
    """The keys in what a terminal sent: a Key, or one of ORDER_KEYS. All else is left out (console_codes(4))."""
    found: list[str] = []
    while typed:
        sequence = _first(typed)
        typed = typed[len(sequence) :]
        letter = sequence.decode("ascii", "replace").lower()
        if sequence in _SEQUENCES:
            found.append(_SEQUENCES[sequence])
        elif letter in ORDER_KEYS or letter in (Key.REVERSE, Key.QUIT):
            found.append(letter)
    return found


def _first(typed: bytes) -> bytes:
    """One key: an escape sequence to its last byte (ECMA-48, 5.4), or a byte."""
    if typed[:2] == b"\x1bO":
        return typed[:3]
    if typed[:2] != b"\x1b[":
        return typed[:1]
    end = next((n for n, byte in enumerate(typed[2:], 2) if 0x40 <= byte <= 0x7E), len(typed) - 1)
    return typed[: end + 1]


class Shown(NamedTuple):
    """What is shown: accounts in the order `by`, or the account `entered` (its directory). `selected` is the path of
    the account under the cursor ('': the first one), or the number of the first process that is shown; `first` the
    number of the first account that is shown."""

    by: str = "cpu"
    reverse: bool = False
    entered: str = ""
    selected: str = ""
    first: int = 0
    scrolled: int = 0
    ended: bool = False


def pressed(shown: Shown, key: str, paths: Sequence[str], height: int) -> Shown:
    """What is shown after a key. `paths` are the accounts in their order, `height` is the number of lines for them."""
    if key == Key.QUIT:
        return shown._replace(ended=True)
    if shown.entered:
        if key == Key.BACK:
            return shown._replace(entered="", scrolled=0)
        moved = _moved(key, shown.scrolled, 1 << 30, height)
        return shown if moved is None or key == Key.END else shown._replace(scrolled=moved)
    if key in ORDER_KEYS:
        return shown._replace(by=ORDER_KEYS[key], reverse=False, selected="", first=0)
    if key == Key.REVERSE:
        return shown._replace(reverse=not shown.reverse, selected="", first=0)
    if not paths:
        return shown
    place = position(shown, paths)
    if key == Key.ENTER:
        return shown._replace(entered=paths[place], selected=paths[place], scrolled=0)
    moved = _moved(key, place, len(paths), height)
    return shown if moved is None else scrolled(shown._replace(selected=paths[moved]), paths, height)


def _moved(key: str, place: int, number: int, height: int) -> int | None:
    """Where the cursor is after a key; None for a key that does not move it."""
    steps = {
        Key.UP: place - 1,
        Key.DOWN: place + 1,
        Key.PAGE_UP: place - height,
        Key.PAGE_DOWN: place + height,
        Key.HOME: 0,
        Key.END: number - 1,
    }
    return max(0, min(number - 1, steps[Key(key)])) if key in steps else None


def position(shown: Shown, paths: Sequence[str]) -> int:
    """The number of the account under the cursor, which stays with it; 0 when that account is gone."""
    return paths.index(shown.selected) if shown.selected in paths else 0


def scrolled(shown: Shown, paths: Sequence[str], height: int) -> Shown:
    """Scrolled so far that the account under the cursor can be seen."""
    place = position(shown, paths)
    first = min(max(shown.first, place - height + 1), place)
    return shown._replace(first=max(0, min(first, len(paths) - height)))
