"""Streams of TCP and UDP between network namespaces, as fast as they go, and the rates at which they arrive."""

import json
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

_PROGRAM = """
import json, os, selectors, signal, socket, sys, time
role, streams, warm, seconds = json.loads(sys.argv[1])
signal.alarm(120)
watched = selectors.DefaultSelector()
def opened(address, kind, uid):
    os.seteuid(uid)  # a socket is its maker's, and one that is accepted is that of who accepts it
    made = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, kind)
    os.seteuid(0)
    return made
if role == 'send':
    for address, port, kind, size, sender, _ in streams:
        client = opened(address, kind, sender)
        client.connect((address, port)); client.setblocking(False)
        watched.register(client, selectors.EVENT_WRITE, bytes(size))
    while True:
        for key, _ in watched.select():
            try: key.fileobj.send(key.data)
            except OSError: pass  # the receiver is not there yet, or not any more
def accept(server, number, uid):
    os.seteuid(uid)
    client, _ = server.accept()
    os.seteuid(0)
    client.setblocking(False)
    watched.unregister(server)
    watched.register(client, selectors.EVENT_READ, (number, None))
def first(server, number, _):
    server.connect(server.recvfrom(1 << 16)[1])  # the kernel knows the socket of what is connected alone
    watched.modify(server, selectors.EVENT_READ, (number, None))
for number, (address, port, kind, _, _, receiver) in enumerate(streams):
    server = opened(address, kind, receiver)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port)); server.setblocking(False)
    if kind == socket.SOCK_STREAM: server.listen()
    else: server.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE: a busy machine reads late
    how = accept if kind == socket.SOCK_STREAM else first
    watched.register(server, selectors.EVENT_READ, (number, lambda *words, how=how, uid=receiver: how(*words, uid)))
print(flush=True)
waiting, counts, buffer = len(streams), [0] * len(streams), bytearray(1 << 18)
begin = end = 0.0
while not end or time.monotonic() < end:
    for key, _ in watched.select(0.1):
        number, begins = key.data
        if begins: begins(key.fileobj, number); waiting -= 1
        else: counts[number] += key.fileobj.recv_into(buffer)
    if not waiting and not begin:
        begin = time.monotonic() + warm
    if begin and not end and time.monotonic() >= begin:
        begin = time.monotonic(); end = begin + seconds; counts = [0] * len(streams)
took = time.monotonic() - begin
print(json.dumps([count * 8 / took for count in counts]), flush=True)
"""
TCP, UDP = 1, 2
_UDP_SIZE = 1400


class Stream(NamedTuple):
    """From a sender of the uid `sender` to `address` and `port`, where the uid `receiver` listens."""

    address: str
    port: int
    kind: int = TCP
    sender: int = 0
    receiver: int = 0

    @property
    def frame_share(self) -> float:
        """Bytes of an Ethernet frame for each byte of payload, at an MTU of 1500."""
        ip = 40 if ":" in self.address else 20
        payload = 1500 - ip - 32 if self.kind == TCP else _UDP_SIZE  # TCP with time stamps
        return (1514 if self.kind == TCP else _UDP_SIZE + 8 + ip + 14) / payload


def rates(
    at_sender: Sequence[str],
    at_receiver: Sequence[str],
    streams: Sequence[Stream],
    *,
    warm: float,
    seconds: float = 2.5,
) -> list[float]:
    """The Mbit a second of payload that each stream received in `seconds`, after the first `warm` seconds. All streams
    run at once. `at_sender` and `at_receiver` are words before a command that run it in a namespace."""
    sizes = [
        (each.address, each.port, each.kind, 1 << 16 if each.kind == TCP else _UDP_SIZE, each.sender, each.receiver)
        for each in streams
    ]

    def words(role: str) -> list[str]:
        return ["/usr/bin/python3", "-c", _PROGRAM, json.dumps((role, sizes, warm, seconds))]

    with subprocess.Popen([*at_receiver, *words("receive")], stdout=subprocess.PIPE) as receiver:
        assert receiver.stdout and receiver.stdout.readline()
        with subprocess.Popen([*at_sender, *words("send")]) as sender:
            try:
                arrived = [rate / 1e6 for rate in json.loads(receiver.stdout.readline())]
            finally:
                sender.kill()
    print("Mbit a second:", *(f"{rate:.4g}" for rate in arrived))  # noqa: T201  (for pytest -s)
    return arrived
