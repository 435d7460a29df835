"""Processes of users that send requests to the daemon's control socket."""

import json
import os
import secrets
import subprocess
from typing import Any

from tests.support.kernel.host import TestHost

ALICE = 1_000_000 + secrets.randbelow(1000) * 1000
BOB, CAROL = ALICE + 1, ALICE + 2
DENIED = {"error": "this needs an administrator", "status": 1, "reason": "denied"}
PLAY = """
import json, os, socket, struct, sys, time
path, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 20, 0))
    s.connect(path); s.settimeout(20); return s
def rest(s):
    said = b""
    try:
        while more := s.recv(65536): said += more
    except ConnectionResetError: pass
    return said
def ask(data):
    with connect() as s:
        try: s.sendall(data)
        except BrokenPipeError: pass
        return json.loads(rest(s))
def verb(name, about="", **options):
    return ask(json.dumps({"verb": name, "about": about, "options": options}).encode() + b"\\n")
"""


class ControlClients:
    """Whoever asks: each a process of its own that has stepped down to a uid."""

    def __init__(self, host: TestHost) -> None:
        self.path = f"{os.readlink(host.place / 'run')}/control.sock"

    def start(self, uid: int, program: str) -> subprocess.Popen[str]:
        words = ["/usr/bin/python3", "-ISc", PLAY + program, self.path, str(uid)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)

    def play(self, uid: int, program: str) -> str:
        said, _ = (process := self.start(uid, program)).communicate(timeout=60)
        assert process.returncode == 0
        return said

    def ask(self, uid: int, verb: str, about: str = "", **options: str) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.play(uid, f"print(json.dumps(verb(*{(verb, about)}, **{options})))"))
        return said
