"""Values as one line of characters."""

from collections.abc import Sequence

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-:=+*#"
"""From the lowest value to the highest."""
GAP = " "


def letters_in(encoding: str) -> str:
    """BLOCKS where the encoding of a terminal has them, else ASCII."""
    try:
        BLOCKS.encode(encoding)
    except UnicodeEncodeError:
        return ASCII
    return BLOCKS


def sparkline(values: Sequence[float | None], width: int, letters: str = BLOCKS) -> str:
    """A line of at most `width` characters, each the mean of its part of the values; a blank where none of them is
    known. The lowest character is 0."""
    number = min(width, len(values))
    parts = [values[len(values) * n // number : len(values) * (n + 1) // number] for n in range(number)]
    known = [[value for value in part if value is not None] for part in parts]
    means = [sum(part) / len(part) if part else None for part in known]
    highest = max((mean for mean in means if mean is not None), default=0.0)
    return "".join(GAP if mean is None else _letter(mean, highest, letters) for mean in means)


def _letter(mean: float, highest: float, letters: str) -> str:
    return letters[0] if highest <= 0 else letters[round(mean / highest * (len(letters) - 1))]
