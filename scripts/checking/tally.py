"""The counts of pytest's summaries (passed, failed, skipped, deselected), and the names of flaky tests."""

import re
from collections import Counter
from dataclasses import dataclass, field

FLAKY = "flaky: "
AGAIN = "tried again: "
FLAKY_ALLOWED = 5

_COUNT = r"(\d+) ([a-z]+)"
_SUMMARY = re.compile(rf"(?:=+ )?{_COUNT}(?:, {_COUNT})* in [\d.]+s\b.*")
_ONE = {"errors": "error", "warnings": "warning"}


@dataclass
class Tally:
    """`read` takes every line that pytest prints, of one run or several."""

    counts: Counter[str] = field(default_factory=Counter)
    flaky: list[str] = field(default_factory=list)
    _is_second_try: bool = False

    def read(self, line: str) -> None:
        line = line.rstrip("\n")
        if line.startswith(AGAIN):
            self._is_second_try = True
        elif line.startswith(FLAKY):
            self.flaky.append(line.removeprefix(FLAKY))
        elif _SUMMARY.fullmatch(line):
            if not self._is_second_try:  # the first try has counted these
                self._count(line)
            self._is_second_try = False

    def _count(self, line: str) -> None:
        for number, word in re.findall(_COUNT, line.partition(" in ")[0]):
            self.counts[_ONE.get(word, word)] += int(number)

    def add(self, other: "Tally") -> None:
        self.counts += other.counts
        self.flaky += other.flaky

    @property
    def is_too_flaky(self) -> bool:
        return len(self.flaky) > FLAKY_ALLOWED

    def __str__(self) -> str:
        """`passed` counts what passed in the first try."""
        words = ("passed", "failed", "error", "skipped", "deselected")
        counts = [f"{self.counts[word]} {word}" for word in words]
        return ", ".join([*counts, f"{len(self.flaky)} flaky"])
