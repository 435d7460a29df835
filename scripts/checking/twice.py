"""Runs pytest, and then the tests that failed once more: one that passes then is reported as flaky.

usage: python scripts/checking/twice.py PYTEST-ARGUMENTS...
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from checking.tally import AGAIN, FLAKY

SOME_FAILED = 1


def main(words: list[str]) -> int:
    """Returns pytest's exit status; that of the second run where there was one."""
    with tempfile.TemporaryDirectory(prefix="paas-isolate-tests-", dir="/var/tmp") as cache:
        pytest = [sys.executable, "-u", "-m", "pytest", "-o", f"cache_dir={cache}", *words]
        code = subprocess.call(pytest)
        failed = _failed(cache)
        if code != SOME_FAILED or not failed:
            return code
        print(f"{AGAIN}{len(failed)}", flush=True)
        code = subprocess.call([*pytest, "--last-failed"])
        for name in sorted(failed - _failed(cache)):
            print(f"{FLAKY}{name}", flush=True)
        return code


def _failed(cache: str) -> set[str]:
    try:
        return set(json.loads(Path(cache, "v/cache/lastfailed").read_text()))
    except FileNotFoundError:
        return set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
