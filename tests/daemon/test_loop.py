"""When the loop makes a full pass."""

import os
import signal
import threading
import time
from collections.abc import Collection, Iterator
from typing import Any, cast

import pytest

from paas_isolate.daemon import loop
from paas_isolate.linux.events.event import Event, EventKind


class Saves:
    """A file is saved every 10 ms, for `seconds` from the first full pass on."""

    def __init__(self, seconds: float) -> None:
        self._out, self._in = os.pipe()
        self._seconds = seconds
        self.last = 0.0

    def begin(self) -> None:
        threading.Thread(target=self._save).start()

    def _save(self) -> None:
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            self.last = time.monotonic()
            os.write(self._in, b".")
            time.sleep(0.01)

    def fileno(self) -> int:
        return self._out

    def read(self) -> Iterator[Event]:
        os.read(self._out, 4096)
        yield Event(EventKind.SPECS, "accounts.d/alice.yaml")


class Actions:
    """The first full pass begins the saves; the second ends the loop. `left` is what `apply_files` answers."""

    def __init__(self, saves: Saves, left: float | None = None) -> None:
        self._saves, self._left = saves, left
        self.passes: list[float] = []

    def reconcile_all(self) -> bool:
        self.passes.append(time.monotonic())
        if len(self.passes) > 1:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self._saves.begin()
        return True

    def grace(self) -> float:
        return 0.1

    def apply_files(self, places: Collection[str]) -> float | None:
        assert places
        return self._left

    def until_strays(self) -> float:
        return 60.0

    until_services = until_strays


def second_pass(saves: Saves, left: float | None = None) -> float:
    """Seconds from the first full pass to the second."""
    actions = Actions(saves, left)
    loop.Loop(cast("Any", actions), [saves], pulse=0, alive=lambda: None).run()
    first, second = actions.passes
    return second - first


def test_a_full_pass_on_time_waits_until_no_file_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_QUIET", 0.3)
    saves = Saves(0.6)
    assert second_pass(saves) >= 0.6


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_PUT_OFF", 0.1)
    saves = Saves(3)
    assert 0.2 <= second_pass(saves) < 3


def test_one_that_a_file_asks_for_does_not_wait() -> None:
    assert second_pass(Saves(1), left=0.0) < 1
