"""Repeats a line while a long stage runs: building an image takes minutes and prints nothing."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

EVERY = 20.0


class Pulse:
    """Passes progress lines to `tell`, and repeats the running stage with its seconds every `every` seconds."""

    def __init__(self, tell: Callable[[str], None], *, every: float = EVERY) -> None:
        self._tell = tell
        self._every = every
        self._stage = ""
        self._since = 0.0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def say(self, line: str) -> None:
        self._stage = ""
        self._tell(line)
        self._since = time.monotonic()
        self._stage = line if line.endswith("...") else ""  # the last: the other thread reads it first

    def _beat(self) -> None:
        while not self._is_over.wait(self._every):
            stage = self._stage
            lasted = time.monotonic() - self._since
            if stage and lasted >= self._every:
                self._tell(f"{stage} {lasted:.0f} s")

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()
