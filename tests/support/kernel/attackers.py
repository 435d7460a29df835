"""Programs that play an attacker, in C: tests/hostile has them."""

from collections.abc import Callable
from pathlib import Path

Attackers = Callable[[str], Path]
"""The program of a name, built where anybody may run it."""
