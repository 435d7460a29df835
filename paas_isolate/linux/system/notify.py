"""What systemd wants to hear of a service. See sd_notify(3) and sd_watchdog_enabled(3)."""

import os
import socket
from contextlib import suppress


def notify(text: str) -> None:
    """Nothing where systemd does not ask for it. Where it is too busy to hear, or gone, that is no reason to stop."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        asked.setblocking(False)
        with suppress(OSError):
            asked.sendto(text.encode(), f"\0{place[1:]}" if place.startswith("@") else place)


def watchdog() -> float:
    """Seconds in which systemd wants a sign of life; 0 where it does not."""
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 if ours else 0.0
