"""Searches for bytes that break a promise of tests/support/promises.py: python -m tests.fuzz.fuzz_specs [-OPTION=...]

The options are libFuzzer's (-max_total_time=90, -help=1). It goes on after a finding; each kind of finding is made
smaller and written into tests/fuzz/cases once, and tests/spec/test_fuzzed.py tells it from then on.
"""

import hashlib
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

from tests.support.paths import CASES, SOURCE

with atheris.instrument_imports(include=["paas_isolate"]):
    from paas_isolate.model.limits import BY_NAME
    from paas_isolate.spec import fields
    from tests.support import promises
    from tests.support.refused_files import REFUSED

TABLES = (
    *(fields.ACCOUNT, fields.PLAN, fields.SERVICE, fields.MATCH, fields.HEALTH),
    *(fields.HOST, fields.TREE, fields.USERS, fields.NETWORK),
)
VALUES = (
    *("a", "no", "~", "010", "1:30", ".inf", "-1", "1e9", "100%", "12.5 %", "512M", "4096P", "unlimited", "0-3,8191"),
    *("$account", "$owner", "@sudo", "../a", "memory.max", "~/a", "/a/..", "10.77.0.0/16", "::1/8", "30s", "plan a"),
    *("&a", "*a", "<<", "!!int", "!<a>", "%TAG", "---", "...", "?", "|+9", ">-", "x-a", "[", "]", "{", "}", "#", ":"),
    *('"\\u202e"', '"\\UFFFFFFFF"', '"\\ud800"', '"\\x00"'),
    *("\u3164", "\u202e", "\x85", "\ufeff", "é", "\U0001d7d9", "²", "\t"),
)
BYTES = 4096
MINIMIZING = 20.0
"""Seconds for one finding at the most."""
# promises.check() looks at the CPU's clock, for a busy machine stutters; the alarm is for what does not end.
OPTIONS = (f"-artifact_prefix={CASES}/", f"-max_len={BYTES}", "-timeout=60", "-report_slow_units=60", "-verbosity=0")

Mutation = Callable[[random.Random, list[bytes]], list[bytes]]


def seeds() -> Iterator[bytes]:
    """Every file of ours in the name that promises.check() gives it, every file that is refused, every finding."""
    for path in sorted((SOURCE / "config").rglob("*.yaml")):
        yield re.sub(rb"(?m)^(account|plan): [\w-]+", rb"\1: a", path.read_bytes())
    yield from (data[:BYTES] for data, _ in REFUSED.values())
    yield from (path.read_bytes()[:BYTES] for path in sorted(CASES.glob("[!.]*")))


SEEDS = tuple(seeds())
LINES = tuple(line for seed in SEEDS for line in seed.splitlines(keepends=True))
KEYS = sorted({field.name for table in TABLES for field in table.fields})
WORDS = tuple(word.encode() for word in (*KEYS, *" ".join(BY_NAME).replace(".", " ").split(), *VALUES))


def splice(dice: random.Random, lines: list[bytes]) -> list[bytes]:
    at = dice.randint(0, len(lines))
    return [*lines[:at], dice.choice(LINES), *lines[at:]]


def reword(dice: random.Random, lines: list[bytes]) -> list[bytes]:
    at = dice.randrange(len(lines))
    words = re.split(rb"([\w.%@/~$-]+)", lines[at])
    words[dice.randrange(len(words))] = dice.choice(WORDS)
    return [*lines[:at], b"".join(words), *lines[at + 1 :]]


def indent(dice: random.Random, lines: list[bytes]) -> list[bytes]:
    first, last = sorted((dice.randint(0, len(lines)), dice.randint(0, len(lines))))
    return [*lines[:first], *(b"  " + line for line in lines[first:last]), *lines[last:]]


def repeat(dice: random.Random, lines: list[bytes]) -> list[bytes]:
    at = dice.randrange(len(lines))
    return [*lines[:at], *[lines[at]] * dice.choice((2, 3, 20)), *lines[at + 1 :]]


def drop(dice: random.Random, lines: list[bytes]) -> list[bytes]:
    at = dice.randrange(len(lines))
    return lines[:at] + lines[at + 1 :]


MUTATIONS: tuple[Mutation, ...] = (splice, reword, reword, indent, repeat, drop)


def mutate(data: bytes, size: int, seed: int) -> bytes:
    """As often by lines and words of the language as by libFuzzer's bytes."""
    dice = random.Random(seed)
    if dice.random() < 0.5:
        return bytes(atheris.Mutate(data, size))
    lines = data.splitlines(keepends=True) or [b""]
    for _ in range(dice.randint(1, 4)):
        lines = dice.choice(MUTATIONS)(dice, lines) or [b""]
    return b"".join(lines)[:size]


def broken(data: bytes) -> promises.BrokenError | None:
    try:
        promises.check(data)
    except promises.BrokenError as found:
        return found
    return None


def smaller(data: bytes, promise: str) -> bytes:
    """Pieces taken out for as long as the same promise is broken."""
    end = time.monotonic() + MINIMIZING
    piece = len(data) // 2
    while piece:
        at = 0
        while at < len(data) and time.monotonic() < end:
            less = data[:at] + data[at + piece :]
            if (found := broken(less)) and found.promise == promise:
                data = less
            else:
                at += piece
        piece -= max(1, piece // 3)  # 3 among them: a character may have as many bytes
    return data


class Findings:
    """Each kind once; what a case of ours still breaks is known."""

    def __init__(self) -> None:
        self.seen = {found.promise for case in CASES.glob("[!.]*") if (found := broken(case.read_bytes()))}

    def look(self, data: bytes) -> None:
        found = broken(data)
        if found is None or found.promise in self.seen:
            return
        self.seen.add(found.promise)
        least = smaller(data, found.promise)
        digest = hashlib.sha256(least).hexdigest()[:8]
        path = CASES / f"{re.sub(r'[^a-z]+', '-', found.promise.lower())}-{digest}.yaml"
        path.write_bytes(least)
        print(f"found: {path.relative_to(SOURCE)}: {broken(least) or found}", flush=True)  # noqa: T201


def main() -> None:
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS):
            Path(corpus, f"{number:03}").write_bytes(seed)
        atheris.Setup([sys.argv[0], *OPTIONS, *sys.argv[1:], corpus], Findings().look, custom_mutator=mutate)
        atheris.Fuzz()  # never returns


if __name__ == "__main__":
    main()
