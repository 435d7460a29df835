"""Processes that a test starts."""

import subprocess
from collections.abc import Callable

Sleepers = Callable[..., subprocess.Popen[bytes]]
