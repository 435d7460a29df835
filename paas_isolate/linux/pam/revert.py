"""A timer that takes the PAM module out of logins again unless an administrator confirms it in time: an administrator
who is locked out only has to wait. See systemd.timer(5)."""

import os
import time
from contextlib import suppress

from paas_isolate.errors import HostError
from paas_isolate.linux.system import systemd

UNIT = "paas-isolate-pam-revert"
_PLACE = "/etc/systemd/system"

_SERVICE = """\
[Unit]
Description=Take the PAM module of paas-isolate out again: nobody confirmed it

[Service]
Type=oneshot
ExecStart={command}
"""
_TIMER = """\
[Unit]
Description=Take the PAM module of paas-isolate out again unless it is confirmed (paas-isolate pam confirm)

[Timer]
OnCalendar={when}
AccuracySec=1s
# A reboot is no confirmation.
Persistent=yes

[Install]
WantedBy=timers.target
"""


def arm(minutes: float, command: str) -> str:
    """Run `command` in so many minutes, also when the machine was rebooted by then. Returns the time in UTC, as text.
    HostError when systemd does not run here or systemctl fails."""
    if not systemd.running():
        raise HostError("systemd does not run here, so no timer can take the module out", hint="leave out --confirm")
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + minutes * 60))
    for kind, text in (("service", _SERVICE.format(command=command)), ("timer", _TIMER.format(when=when))):
        with open(f"{_PLACE}/{UNIT}.{kind}", "w", encoding="utf-8") as file:
            file.write(text)
    systemd.reload()
    systemd.enable(f"{UNIT}.timer")
    return when


def disarm() -> bool:
    """Stop the timer and remove its units. False when it was not armed. HostError when systemctl fails."""
    if not armed():
        return False
    systemd.disable(f"{UNIT}.timer")
    for kind in ("service", "timer"):
        with suppress(FileNotFoundError):
            os.unlink(f"{_PLACE}/{UNIT}.{kind}")
    systemd.reload()
    return True


def armed() -> bool:
    """Whether the module waits for a confirmation."""
    return os.path.exists(f"{_PLACE}/{UNIT}.timer")
