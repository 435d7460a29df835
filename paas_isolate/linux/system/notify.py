"""Notifications of a service to systemd. See sd_notify(3) and sd_watchdog_enabled(3)."""

import os
import socket
from contextlib import suppress


def notify(text: str) -> None:
    """Send `text` (`READY=1`) to systemd, when it has asked for notifications. Errors are ignored: the service goes on
    when systemd is busy or gone."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as client:
        client.setblocking(False)
        with suppress(OSError):
            client.sendto(text.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def watchdog() -> float:
    """Seconds within which systemd expects the next `WATCHDOG=1`; 0 when it expects none of this process."""
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 if is_ours else 0.0
