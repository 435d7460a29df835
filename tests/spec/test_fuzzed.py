"""What tests/fuzz once found: each case keeps every promise now."""

from pathlib import Path

import pytest

from tests.support.paths import CASES
from tests.support.promises import BrokenError, check, check_words

FINDINGS = sorted(CASES.glob("[!.]*"))


@pytest.mark.parametrize("case", FINDINGS, ids=lambda case: case.name)
def test_what_was_found_once_is_not_found_again(case: Path) -> None:
    check(case.read_bytes())


@pytest.mark.parametrize(
    "said", ["a\nb", "\x1b[2J", "caf\udce9", "a\u202eb", "a\u200bb", "a\u3164b", "a\ufe0f", "x" * 1001]
)
def test_what_no_complaint_may_say(said: str) -> None:
    with pytest.raises(BrokenError):
        check_words(said)
