"""What all tests share."""

import os
from collections import defaultdict
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

pytest.register_assert_rewrite("tests.support")

try:
    from hypothesis import settings
except ModuleNotFoundError:
    pass  # the test machine has none: tests/guest brings its cases along
else:
    settings.register_profile("quick", max_examples=60, deadline=None)  # a machine at work
    settings.register_profile("thorough", max_examples=20_000, deadline=None)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

TESTS = Path(__file__).parent
LONGEST = (TESTS / "scripts", TESTS / "source")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes seconds: begun last, one worker would still be at it when the others have nothing to do."""
    items.sort(key=lambda item: item.path.parent not in LONGEST)


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Beside the durations of tests, where they are asked for, those of files: two machines share the files."""
    if not config.getoption("durations"):
        return
    seconds: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    files = sorted(seconds, key=lambda file: -seconds[file])[:60]
    told = ", ".join(f"{Path(file).stem} {seconds[file]:.0f}" for file in files)
    terminalreporter.write_line(f"seconds of files: {told}")
