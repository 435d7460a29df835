"""Stages, how they run, and the summary at the end."""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby

from testbed.host import SOURCE

from checking.tally import FLAKY_ALLOWED, Tally
from checking.tool_env import ToolEnv

TWICE = "scripts/checking/twice.py"
PROGRESS_EVERY = 30.0
SLOWEST = ("--durations=25", "--durations-min=5")
_printing = threading.Lock()


def to_terminal(text: str) -> None:
    with _printing:
        print(text, end="", flush=True)


@dataclass
class Run:
    """One run of a stage, or of a part of it: starts programs in the source tree. `say` takes the lines they print.
    Where these are kept until the end, `name` is set, and pytest's progress goes to the terminal under that name."""

    shop: ToolEnv
    say: Callable[[str], None] = to_terminal
    tally: Tally = field(default_factory=Tally)
    name: str = ""
    _progress_at: float = field(default_factory=time.monotonic)

    def tool(self, name: str) -> str:
        return self.shop.tool(name)

    def call(self, *command: str, environment: dict[str, str] | None = None) -> bool:
        """Runs a program with these variables added to the environment; whether its exit status is 0."""
        program = subprocess.Popen(
            command,
            cwd=SOURCE,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        with program:
            assert program.stdout is not None
            for line in program.stdout:
                self.say(line)
                self.tally.read(line)
                self._tell_progress(line)
        return program.returncode == 0

    def _tell_progress(self, line: str) -> None:
        now = time.monotonic()
        if self.name and line.endswith("%]\n") and now - self._progress_at > PROGRESS_EVERY:
            self._progress_at = now
            to_terminal(f"{self.name}: {line}")

    def pytest(self, *words: str, environment: dict[str, str] | None = None) -> bool:
        return self.call(str(self.shop.python), "-m", "pytest", *words, environment=environment)

    def pytest_twice(self, *words: str, environment: dict[str, str] | None = None) -> bool:
        """For tests that measure: what failed is tried once more, and is reported as flaky when it passes then."""
        return self.call(str(self.shop.python), TWICE, *SLOWEST, *words, environment=environment)

    def side_by_side(self, parts: Mapping[str, Callable[["Run"], bool]]) -> bool:
        """Runs all parts, by name, at the same time; the output of each comes in one piece when it has ended."""
        with ThreadPoolExecutor(len(parts)) as pool:
            return all(list(pool.map(self._part, parts.keys(), parts.values())))

    def _part(self, name: str, part: Callable[["Run"], bool]) -> bool:
        output: list[str] = []
        run = Run(self.shop, output.append, name=name)
        try:
            return part(run)
        finally:
            self.say("".join(output))
            with _printing:
                self.tally.add(run.tally)


@dataclass(frozen=True)
class Stage:
    """`run` prints what it finds, and returns whether all is well. Neighbours of one group run at the same time."""

    name: str
    meaning: str
    run: Callable[[Run], bool]
    group: str = ""


def run_all(stages: Iterable[Stage], shop: ToolEnv) -> int:
    """Runs all stages, also after one has failed, and prints a summary. Returns the exit status: 0 or 1."""
    tally = Tally()
    failed: list[str] = []
    number = 0
    for _, members in groupby(enumerate(stages), key=lambda numbered: numbered[1].group or numbered[0]):
        group = [stage for _, stage in members]
        runs = [Run(shop) for _ in group]
        for stage, run, well in zip(group, runs, _run_group(group, runs), strict=True):
            number += 1
            failed += [] if well else [stage.name]
            tally.add(run.tally)
    for name in tally.flaky:
        print(f"scripts/test: flaky, failed and then passed: {name}")
    if tally.is_too_flaky:
        print(f"scripts/test: {len(tally.flaky)} flaky tests, at most {FLAKY_ALLOWED} are allowed")
    if failed:
        print(f"scripts/test: failed: {', '.join(failed)}")
    print(f"tests: {tally}")
    print(f"stages: {number - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or tally.is_too_flaky else 0


def _run_group(group: list[Stage], runs: list[Run]) -> list[bool]:
    """A single stage prints as it goes; of several, each prints when it has ended."""
    if len(group) == 1:
        return [_run(group[0], runs[0])]
    with ThreadPoolExecutor(max(2, len(os.sched_getaffinity(0)))) as pool:
        return list(pool.map(_run_quietly, group, runs))


def _run(stage: Stage, run: Run) -> bool:
    run.say(f"== {stage.name}: {stage.meaning}\n")
    begin = time.monotonic()
    well = stage.run(run)
    run.say(f"== {stage.name}: {'ok' if well else 'FAILED'} ({time.monotonic() - begin:.1f} s)\n")
    return well


def _run_quietly(stage: Stage, run: Run) -> bool:
    output: list[str] = []
    run.say, run.name = output.append, stage.name
    to_terminal(f"== {stage.name}: begins\n")
    try:
        return _run(stage, run)
    finally:
        to_terminal("".join(output))
