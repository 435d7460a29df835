"""A change that takes itself back unless somebody confirms it: who is locked out need only wait. systemd.timer(5)."""

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
    """Run the command in so many minutes, after a reboot too. When that is, in words."""
    if not systemd.running():
        raise HostError("systemd does not run here, and nothing else could take it back", hint="leave out --confirm")
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + minutes * 60))
    for kind, text in (("service", _SERVICE.format(command=command)), ("timer", _TIMER.format(when=when))):
        with open(f"{_PLACE}/{UNIT}.{kind}", "w", encoding="utf-8") as file:
            file.write(text)
    systemd.reload()
    systemd.enable(f"{UNIT}.timer")
    return when


def disarm() -> bool:
    """Whether there was anything to be confirmed."""
    if not armed():
        return False
    systemd.disable(f"{UNIT}.timer")
    for kind in ("service", "timer"):
        with suppress(FileNotFoundError):
            os.unlink(f"{_PLACE}/{UNIT}.{kind}")
    systemd.reload()
    return True


def armed() -> bool:
    return os.path.exists(f"{_PLACE}/{UNIT}.timer")
