"""Run as a program: a link between two network namespaces with a round trip that takes time, of two TUN devices
(Documentation/networking/tuntap.rst). Not every kernel that runs the tests has netem.

Arguments: the names of the namespaces, the name of the interface in both, and the round trip in milliseconds. It prints
a line when both are there.
"""

import ctypes
import fcntl
import os
import selectors
import struct
import sys
import time
from collections import deque

_NEWNET = 0x40000000
_TUNSETIFF, _TUN, _NO_PACKET_INFORMATION = 0x400454CA, 0x1, 0x1000


def opened(namespace: str, name: str) -> int:
    """A new TUN device in a namespace of ip-netns(8)."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    assert libc.setns(os.open(f"/run/netns/{namespace}", os.O_RDONLY), _NEWNET) == 0
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN | _NO_PACKET_INFORMATION))
    assert libc.setns(before, _NEWNET) == 0
    return device


def relay(one: int, other: int, delay: float) -> None:
    """Hand packets from each device to the other, `delay` seconds later."""
    waiting: deque[tuple[float, int, bytes]] = deque()
    watched = selectors.DefaultSelector()
    watched.register(one, selectors.EVENT_READ, other)
    watched.register(other, selectors.EVENT_READ, one)
    while True:
        while waiting and waiting[0][0] <= time.monotonic():
            _, to, packet = waiting.popleft()
            os.write(to, packet)
        for key, _ in watched.select(max(0.0, waiting[0][0] - time.monotonic()) if waiting else None):
            waiting.append((time.monotonic() + delay, key.data, os.read(key.fd, 2000)))


if __name__ == "__main__":
    left, right, interface, round_trip = sys.argv[1:]
    ends = opened(left, interface), opened(right, interface)
    print(flush=True)  # noqa: T201  (the line that the test waits for)
    relay(*ends, float(round_trip) / 2000)
