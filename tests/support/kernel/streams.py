"""Streams of TCP and UDP between network namespaces, as fast as they go, and the rates at which they arrive."""

import json
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

_PROGRAM = """
import json, os, signal, socket, sys, time
def become(uid):
    os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
def opened(address, kind):
    return socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, kind)
def send(address, port, kind, size):
    client = opened(address, kind)
    client.connect((address, port))
    while True:
        try: client.send(bytes(size))
        except ConnectionRefusedError: pass
def receive(server, kind, warm, seconds):
    if kind == socket.SOCK_STREAM: server, _ = server.accept()
    else: server.connect(server.recvfrom(1 << 16)[1])  # the kernel knows the socket of what is connected alone
    count, begin = 0, 0.0
    end = time.monotonic() + warm
    while True:
        got, now = len(server.recv(1 << 18)), time.monotonic()
        if now >= end and begin: return count * 8 / (now - begin)
        if now >= end: count, begin, end = 0, now, now + seconds
        else: count += got
role, streams, warm, seconds = json.loads(sys.argv[1])
pipes = []
for address, port, kind, size, sender, receiver in streams:
    if role == 'send':
        if os.fork() == 0:
            signal.alarm(60); become(sender); send(address, port, kind, size)
        continue
    r, w = os.pipe()
    ready, there = os.pipe()
    if os.fork() == 0:
        signal.alarm(60); become(receiver)  # first: a socket is its maker's
        server = opened(address, kind); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == socket.SOCK_STREAM: server.listen()
        os.write(there, b'!')
        os.write(w, str(receive(server, kind, warm, seconds)).encode()); os._exit(0)
    os.close(w); os.read(ready, 1); pipes.append(r)
print(flush=True)
if role == 'receive': print(json.dumps([float(os.read(r, 99) or 0) for r in pipes]), flush=True)
else: sys.stdin.read(); os.killpg(0, 9)
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

    with subprocess.Popen([*at_receiver, *words("receive")], stdout=subprocess.PIPE) as receivers:
        assert receivers.stdout and receivers.stdout.readline()
        with subprocess.Popen(
            [*at_sender, *words("send")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as senders:
            try:
                return [rate / 1e6 for rate in json.loads(receivers.stdout.readline())]
            finally:
                assert senders.stdin
                senders.stdin.close()
