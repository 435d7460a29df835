"""A measured fact, and the readings that it is made of."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

READING = re.compile(r"^([a-z][a-z_0-9]*)=(.*)$", re.MULTILINE)


class DemonstrationError(Exception):
    """A step could not be measured at all; `output` is the last that was heard."""

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class UnfitError(DemonstrationError):
    """This machine cannot be the ground; the message names what is missing."""


@dataclass(frozen=True)
class Fact:
    """`said` is the whole line with its numbers; the rest is shown only when it failed."""

    name: str
    ok: bool
    said: str
    expected: str = ""
    output: str = ""


@dataclass(frozen=True)
class Readings:
    """The `name=value` lines of a script's output."""

    values: dict[str, str]
    output: str

    @classmethod
    def of(cls, output: str) -> "Readings":
        return cls(dict(READING.findall(output)), output)

    def text(self, name: str) -> str:
        if name not in self.values:
            raise DemonstrationError(f"the script told no {name}", output=self.output)
        return self.values[name]

    def number(self, name: str) -> int:
        text = self.text(name)
        if not re.fullmatch(r"-?\d+", text):
            raise DemonstrationError(f"{name} is {text!r}, which is no number", output=self.output)
        return int(text)


def summary(facts: Sequence[Fact]) -> str:
    """`23 facts, 23 ok`"""
    failed = sum(not fact.ok for fact in facts)
    return f"{len(facts)} facts, {len(facts) - failed} ok" + (f", {failed} failed" if failed else "")


def size(number: int) -> str:
    """Bytes as the product writes them: 204.8M, 1G."""
    for letter, unit in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if number >= unit:
            return f"{number / unit:.1f}".removesuffix(".0") + letter
    return f"{number}B"


def share(used: int, passed: int) -> float:
    """Percent of one core, from microseconds used in microseconds passed."""
    return 100 * used / passed if passed > 0 else 0.0


def last_lines(output: str, *, count: int = 15) -> list[str]:
    return output.rstrip().splitlines()[-count:]
