"""Logins to the page: the helper in a mount namespace with users, passwords and a PAM stack of the test's own."""

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paas_isolate.linux.system.control_socket import peer_of
from tests.support.kernel.host import ALICE
from tests.support.paths import SOURCE

RELAY = ALICE + 9
PASSWORD = "correct horse: Ünïcode"
ADDRESS = "192.0.2.7"
_BINDS = """
mount -t tmpfs tmpfs /mnt && mkdir /mnt/pam.d && cp "$0"/pam.d/* /mnt/pam.d/ && mount --bind /mnt/pam.d /etc/pam.d &&
for file in passwd shadow nsswitch.conf; do mount --bind "$0/$file" "/etc/$file" || exit 1; done
exec "$@"
"""


class PageLogins:
    """`place` becomes the three directories of the product, and the files that stand in the place of those of /etc."""

    def __init__(self, place: Path, first: int = ALICE) -> None:
        """`first` is alice's uid."""
        self.place, self.run, self.state, self.etc = place, place / "run", place / "state", place / "etc"
        for directory in (self.run, self.state, self.etc, place / "pam.d"):
            directory.mkdir(parents=True, exist_ok=True)
        crypt = ["openssl", "passwd", "-6", "-salt", "saltsalt", "-stdin"]
        hashed = subprocess.run(crypt, input=PASSWORD + "\n", text=True, capture_output=True, check=True).stdout.strip()
        users = {name: first + number for number, name in enumerate(("alice", "bob", "carol", "expired"))}
        self.users = {"root": 0, "paas-isolate-login": RELAY, **users}
        people = [f"{name}:x:{uid}:{uid}::/:/bin/sh\n" for name, uid in self.users.items()]
        (place / "passwd").write_text("".join(people) + "empty:x:4242:4242::/:/bin/sh\n")
        days = dict.fromkeys(self.users, "19000:0:99999:7:::") | {"expired": "19000:0:1:7:0:19002:"}
        (place / "shadow").write_text(
            "".join(f"{name}:{hashed}:{days[name]}\n" for name in self.users) + "empty::19000::::::\n"
        )
        (place / "nsswitch.conf").write_text("passwd: files\ngroup: files\nshadow: files\n")
        shutil.copy(SOURCE / "config" / "pam.d" / "paas-isolate-web", place / "pam.d")
        (place / "pam.d" / "other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")

    def start(self) -> tuple[socket.socket, subprocess.Popen[str]]:
        """The web's end of a connection, and the helper that serves it."""
        web, theirs = socket.socketpair()
        words = [sys.executable, "-IB", "-m", "paas_isolate.login", *map(str, (self.etc, self.state, self.run))]
        inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BINDS]
        words = [*inside, str(self.place), *words]
        with theirs:
            helper = subprocess.Popen(
                words, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
        web.settimeout(30)
        return web, helper

    def answer(self, line: bytes | dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What one login is answered, and what the helper wrote into the log."""
        web, helper = self.start()
        with web:
            send(web, line)
            told = receive(web)
        _, log = helper.communicate(timeout=60)
        return told, log

    @contextmanager
    def logged_in(self, **given: str) -> Iterator[tuple[socket.socket, dict[str, Any], subprocess.Popen[str]]]:
        web, helper = self.start()
        try:
            with web:
                send(web, login(**given))
                yield web, receive(web), helper
        finally:
            helper.kill()
            helper.communicate(timeout=60)


def login(user: str = "alice", password: str = PASSWORD, **more: str) -> dict[str, Any]:
    """A line for the helper; with `token`, that of a token."""
    if "token" in more:
        return {"from": ADDRESS, **more}
    return {"user": user, "password": password, "from": ADDRESS, **more}


def send(web: socket.socket, line: bytes | dict[str, Any]) -> None:
    web.sendall(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")


def receive(web: socket.socket) -> dict[str, Any]:
    """One line; {} where the connection has ended before."""
    line = b""
    while not line.endswith(b"\n"):
        try:
            seen = web.recv(1 << 20, socket.MSG_PEEK)
            more = web.recv(len(seen.partition(b"\n")[0]) + 1) if seen else b""
        except ConnectionResetError:
            more = b""
        if not more:
            return {}
        line += more
    found: dict[str, Any] = json.loads(line)
    return found


class FakeDaemon:
    """It writes down who connects and what is asked, and answers `who`; other lines come back as they are."""

    def __init__(self, run: Path) -> None:
        self.peers: list[int] = []
        self.lines: list[dict[str, Any]] = []
        self.account: str | None = "alice"
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(run / "control.sock"))
        (run / "control.sock").chmod(0o666)
        self.server.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self.peers.append(peer_of(client).uid)
            threading.Thread(target=self._serve, args=[client, self.peers[-1]], daemon=True).start()

    def _serve(self, client: socket.socket, uid: int) -> None:
        with client, client.makefile("rb") as stream:
            for line in stream:
                asked = json.loads(line)
                self.lines.append(asked)
                if asked.get("verb") == "who":
                    told = {"uid": uid, "administrator": uid == 0, "account": self.account, "suspended": True}
                    send(client, {"id": asked["id"], "told": told})
                elif asked.get("verb") == "login-refused":
                    send(client, {"told": {}})
                    return
                elif asked.get("verb") == "me":
                    send(client, {"id": asked["id"], "error": "you have no account on this machine", "status": 1})
                elif "verb" in asked:
                    client.sendall(line)
