"""Measured facts, and the readings that they are made of."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

READING = re.compile(r"^([a-z][a-z_0-9]*)=(.*)$", re.MULTILINE)


class DemonstrationError(Exception):
    """A step could not be measured; `output` is what its script printed."""

    def __init__(self, message: str, *, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class UnfitError(DemonstrationError):
    """This machine cannot be the target; the message lists what is missing."""


@dataclass(frozen=True)
class Fact:
    """`said` is the whole line with its numbers; `expected` and `output` are shown only when it failed."""

    name: str
    ok: bool
    said: str
    expected: str = ""
    output: str = ""


@dataclass(frozen=True)
class Readings:
    """The `name=value` lines of a script's output. DemonstrationError for a name that is missing or no number."""

    values: dict[str, str]
    output: str

    @classmethod
    def of(cls, output: str) -> "Readings":
        return cls(dict(READING.findall(output)), output)

    def text(self, name: str) -> str:
        if name not in self.values:
            raise DemonstrationError(f"the script printed no {name}", output=self.output)
        return self.values[name]

    def number(self, name: str) -> int:
        text = self.text(name)
        if not re.fullmatch(r"-?\d+", text):
            raise DemonstrationError(f"{name} is {text!r}; expected a number", output=self.output)
        return int(text)

    def fact(self, name: str, ok: bool, said: str, expected: str) -> Fact:
        return Fact(name, ok, said, expected, self.output)


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


def milliseconds(passed: int) -> str:
    """Microseconds as text: 3.8 ms, 120 ms."""
    return f"{passed / 1000:.1f} ms" if passed < 10_000 else f"{passed / 1000:.0f} ms"


def share(used: int, passed: int) -> float:
    """Percent of one core: microseconds of CPU time `used` in microseconds `passed`."""
    return 100 * used / passed if passed > 0 else 0.0


def last_lines(output: str, *, count: int = 15) -> list[str]:
    return output.rstrip().splitlines()[-count:]
