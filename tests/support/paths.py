"""Where things lie in the source tree."""

from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
TESTS = SOURCE / "tests"
CASES = TESTS / "fuzz" / "cases"
"""What the fuzzer has found."""
CONFIG = SOURCE / "config"
HOSTILE = TESTS / "hostile"
"""Programs that play an attacker."""
PAM = SOURCE / "pam"
SUPPORT = TESTS / "support"
