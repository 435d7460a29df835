"""Starts a round of notices each minute, as a process of its own that the loop never waits for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from paas_isolate.installation import Installation
from paas_isolate.linux.events.event import Event
from paas_isolate.linux.events.timer import Timer
from paas_isolate.metering.notices import LOOK
from paas_isolate.model.account import Fleet

LONGEST = 600.0
"""Seconds after which a round is killed. Each notice has a time limit of its own."""
_SOON = 2.0
"""Seconds between two tries before the first full pass."""
OURS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""Variables for the daemon alone (sd_notify(3))."""


class NoticeSource:
    """An event source of the loop that only has a timer. `customers` returns None before the first full pass. OSError
    where there is no timer. Its rounds print what is wrong to the daemon's standard error."""

    def __init__(self, installation: Installation, warn: Callable[[str], None]) -> None:
        self._installation, self._warn = installation, warn
        self.customers: Callable[[], Fleet | None] = lambda: None
        self._round: subprocess.Popen[bytes] | None = None
        self._begun = 0.0
        self._told = ""
        self._looks = False
        self._clock = Timer()
        self._clock.arm(_SOON)

    def fileno(self) -> int:
        return self._clock.fileno()

    def close(self) -> None:
        """End a round that is at work: what it has sent, it has remembered."""
        if self._round is not None and self._round.poll() is None:
            self._round.terminate()
        self._clock.close()

    def read(self) -> Iterator[Event]:
        self._clock.read()
        fleet = self.customers()
        if fleet is not None and not self._looks:
            self._looks = True
            self._clock.arm(LOOK / 1000)
        if not self._is_at_work() and fleet is not None and _has_rules(fleet):
            self._begin()
        return iter(())

    def _is_at_work(self) -> bool:
        if self._round is None or self._round.poll() is not None:
            self._round = None
            return False
        if time.monotonic() - self._begun > LONGEST:
            with suppress(ProcessLookupError):
                os.kill(self._round.pid, signal.SIGKILL)
        return True

    def _begin(self) -> None:
        here = self._installation
        words = [sys.executable, "-P", "-m", "paas_isolate"]
        words += ["--etc", here.etc, "--state", here.state, "--run", here.run, "notices", "--send"]
        environment = {name: value for name, value in os.environ.items() if name not in OURS}
        try:
            self._round = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=environment, cwd="/", close_fds=False)
        except OSError as error:
            if str(error) != self._told:
                self._told = str(error)
                self._warn(f"notices are not sent: {error}")
            return
        self._told, self._begun = "", time.monotonic()


def _has_rules(fleet: Fleet) -> bool:
    return fleet.host.metering is not None and (
        bool(fleet.host.metering.notices) or any(account.on_high for account in fleet.accounts.values())
    )
