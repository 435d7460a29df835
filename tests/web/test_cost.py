"""What the process of the page costs: memory with a hundred people logged in, and the time of an account's page."""

import asyncio
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from paas_isolate.listening import Place
from paas_isolate.web.setting import Setting
from tests.support.web.fake_helper import Connection, with_helper
from tests.support.web.fake_link import FakeLink

PEOPLE = 100
MEMORY = 40 * 1024
"""KiB (issue 22)."""
PAGE = 0.050
"""Seconds at the server."""


async def daemon(helper: Connection) -> None:
    """Answers as the fake connection does."""
    user = (await helper.line())["user"]
    link = FakeLink("alice")
    await helper.send({"told": {"user": user}})
    while True:
        asked = await helper.line()
        if asked["verb"] == "events":
            told = {"events": [], "last": "aa.1", "missing": False}
        else:
            told = await link.ask(asked["verb"], asked["about"], asked["options"])
        await helper.send({"id": asked["id"], "told": told})


@contextmanager
def served(place: Path) -> Iterator[int]:
    """The pid of the page's process, which listens at PLACE/web."""
    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def wait() -> None:
        ready.set()
        await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(with_helper(place / "helper", daemon, wait)))
    thread.start()
    assert ready.wait(5)
    setting = Setting(Place(path=str(place / "web")), helper=str(place / "helper"), behind_proxy=True)
    words = [sys.executable, "-P", "-m", "paas_isolate.web", json.dumps(setting._asdict())]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert process.stdout and process.stdout.readline().startswith(b"serves pages on unix:")
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)
        loop.call_soon_threadsafe(end.set)
        thread.join(5)
    assert process.returncode in (0, -15)


class Client(http.client.HTTPConnection):
    """At a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
        self.request(method, path, body or None, {name.replace("_", "-"): value for name, value in headers.items()})
        return self.getresponse()


def log_in(path: Path, user: str) -> tuple[Client, str]:
    """With a stream of events, as a page has one."""
    client = Client(path)
    form = urlencode({"user": user, "password": "right"})
    kind = "application/x-www-form-urlencoded"
    number = user.removeprefix("user")
    origin, address = "http://localhost", f"10.0.0.{number}"
    answer = client.ask("POST", "/login", form, origin=origin, content_type=kind, x_forwarded_for=address)
    assert answer.status == 303, answer.read()
    answer.read()
    return client, answer.headers["set-cookie"].partition(";")[0]


def resident(pid: int) -> int:
    """KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))


def cpu(pid: int) -> float:
    """Seconds of CPU time: the machine may be busy with other tests."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_memory_and_time(tmp_path: Path) -> None:
    with served(tmp_path) as pid:
        streams, pages, spent = [], 0, 0.0
        begun = resident(pid)
        for number in range(PEOPLE):
            client, cookie = log_in(tmp_path / "web", f"user{number}")
            for path in ("/accounts/alice", "/accounts/alice/faults", "/accounts/alice"):
                then = cpu(pid)
                assert client.ask("GET", path, cookie=cookie).read().count(b"</h1>") == 1
                pages, spent = pages + 1, spent + cpu(pid) - then
            stream = Client(tmp_path / "web")
            streams.append((stream, client, stream.ask("GET", "/v1/events", cookie=cookie)))
            assert streams[-1][2].status == 200
        used = resident(pid)
        page = spent / pages
        said = f"{begun} KiB at the start, {used} KiB with {PEOPLE} people; a page in {page * 1000:.1f} ms of CPU time"
        if os.environ.get("PAAS_ISOLATE_TELL"):
            sys.__stdout__ and sys.__stdout__.write(f"\n{said}\n")
        for stream, client, _ in streams:
            stream.close()
            client.close()
    assert used <= MEMORY, said
    assert page <= PAGE, said
