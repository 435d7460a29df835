"""Programs that play an attacker: tests/hostile has them, in C."""

from collections.abc import Callable
from pathlib import Path

Attackers = Callable[[str], Path]
"""The program of a name, built where anybody may run it."""
