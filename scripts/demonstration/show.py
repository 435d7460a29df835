"""The only part that prints: headings, facts and pictures, or JSON at the end."""

import json
import os
import sys
from dataclasses import asdict, dataclass, field

from demonstration.facts import Fact, last_lines, summary

GREEN, RED, BOLD, DIM, PLAIN = "\033[32m", "\033[31m", "\033[1m", "\033[2m", "\033[0m"


@dataclass
class Show:
    as_json: bool = False
    scenarios: list[tuple[str, list[Fact]]] = field(default_factory=list)

    @property
    def facts(self) -> list[Fact]:
        return [fact for _, facts in self.scenarios for fact in facts]

    @property
    def all_ok(self) -> bool:
        return bool(self.facts) and all(fact.ok for fact in self.facts)

    def begin(self, title: str) -> None:
        self.scenarios.append((title, []))
        self.say(f"\n{self._in(BOLD, f'{len(self.scenarios)}  {title}')}")

    def fact(self, fact: Fact) -> None:
        self.scenarios[-1][1].append(fact)
        for line in lines(fact):
            word, rest = line[:8], line[8:]
            self.say(self._in(GREEN if fact.ok else RED, word) + rest)

    def line(self, line: str) -> None:
        self.say(f"        {self._in(DIM, line)}")

    def progress(self, line: str) -> None:
        """On standard error, apart from the facts."""
        print(f"        {line}", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        if not self.as_json:
            print(line, flush=True)

    def end(self, how_to_go_on: str, *, seconds: float) -> None:
        if self.as_json:
            listed = [{"act": title, **asdict(fact)} for title, facts in self.scenarios for fact in facts]
            print(json.dumps({"ok": self.all_ok, "seconds": round(seconds, 1), "facts": listed}, indent=2))
        self.say(f"\n{self._in(GREEN if self.all_ok else RED, summary(self.facts))}, {seconds / 60:.1f} minutes")
        self.say(how_to_go_on)

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def lines(fact: Fact) -> list[str]:
    """The verdict in eight columns; for a failure also what was expected, and the last lines of output."""
    shown = [f"{'ok' if fact.ok else 'failed':<8}{fact.name}: {fact.said}"]
    if fact.ok:
        return shown
    if fact.expected:
        shown.append(f"{'':<8}  expected: {fact.expected}")
    if fact.output.strip():
        shown.append(f"{'':<8}  the last lines of output:")
        shown += [f"{'':<8}    {line}" for line in last_lines(fact.output)]
    return shown
