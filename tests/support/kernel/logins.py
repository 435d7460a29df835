"""Logins by ssh into a LoginHost, and a checker that looks for processes of customers outside the tree."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Self

from paas_isolate.linux.process import procfs
from tests.support.kernel.login_host import LoginHost, near
from tests.support.kernel.login_stacks import STANDIN
from tests.support.kernel.pam_build import CUSTOMERS, Person
from tests.support.waiting import wait_for

KEY, PASSWORD, ASKED = "publickey", "password", "keyboard-interactive"
LOOK = f"sed -n s/^0::/cgroup=/p /proc/self/cgroup; echo beside=${STANDIN}"


class Login(NamedTuple):
    """`cgroup` in our words: absolute outside of the tree, '' where nobody was let in."""

    status: int
    said: str
    cgroup: str
    beside: bool
    """Whether the session passed what stands after our lines."""


def environment(login_host: LoginHost) -> dict[str, str]:
    askpass = {"SSH_ASKPASS": f"{login_host.place}/askpass", "SSH_ASKPASS_REQUIRE": "force"}
    return {"PATH": os.environ["PATH"], "HOME": str(login_host.place), **askpass}


def client(login_host: LoginHost, *, program: str = "ssh", way: str = KEY) -> list[str]:
    return [program, "-F", f"{login_host.place}/ssh_config", "-o", f"PreferredAuthentications={way}"]


@contextmanager
def connection(login_host: LoginHost, who: Person, *options: str) -> Iterator[None]:
    """One without a session, in the background."""
    command = [*client(login_host), "-N", *options, f"{who.name}@host"]
    with subprocess.Popen(command, env=environment(login_host), stdin=subprocess.DEVNULL, cwd=login_host.place) as ssh:
        try:
            yield
        finally:
            ssh.kill()


@contextmanager
def forwarded(login_host: LoginHost, who: Person) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A forward of a connection without a session: the client's end, connected, and the server that it leads to."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        connection(login_host, who, "-L", f"./entry:127.0.0.1:{server.getsockname()[1]}"),
        socket.socket(socket.AF_UNIX) as local,
    ):
        wait_for((login_host.place / "entry").exists, what="the forward is there")
        with near(login_host.place) as here:
            local.connect(f"{here}/entry")
        yield local, server


def run(login_host: LoginHost, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment(login_host),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=login_host.place,
    )


def login(login_host: LoginHost, who: Person, *, way: str = KEY, look: str = LOOK) -> Login:
    done = run(login_host, [*client(login_host, way=way), f"{who.name}@host", look])
    said = done.stdout + done.stderr
    assert "Permission denied (" not in said, f"{who.name} was not known by {way}: {said}"
    return Login(done.returncode, said, cgroup_told(login_host, done.stdout), "beside=yes" in done.stdout)


def cgroup_told(login_host: LoginHost, said: str) -> str:
    found = [line.removeprefix("cgroup=") for line in said.splitlines() if line.startswith("cgroup=")]
    return login_host.cgroups.path_of(found[0]) if found else ""


class Checker:
    """Looks at every process of customers of the login_host, all the time, and keeps what was outside.

    A process is a customer's once its real uid is: before the login, sshd reads the keys with the user's effective uid,
    and is root all the same.
    """

    def __init__(self, login_host: LoginHost, *, every: float = 0.02) -> None:
        self.looks, self.pids = 0, set[int]()
        self.programs, self.outside = set[tuple[str, str]](), set[str]()
        self._base = login_host.cgroups.root[len(login_host.cgroups.mount) :] + "/"
        self._every, self._stop = every, threading.Event()
        self._uids = {each.uid for each in CUSTOMERS}
        self._thread = threading.Thread(target=self._turn)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _turn(self) -> None:
        while not self._stop.wait(self._every):
            self.look()

    def look(self) -> None:
        """Once, by whoever asks."""
        self.looks += 1
        for pid, uid in procfs.effective_uids():  # quick, and what is left out are set-uid programs: none here
            before = procfs.identity(pid) if uid in self._uids else None
            if before is None or before.uids[0] not in self._uids or not before.alive:
                continue
            cgroup = procfs.cgroup(pid)
            if cgroup is None or procfs.identity(pid) != before:  # it ended meanwhile
                continue
            self.pids.add(pid)
            self.programs.add((procfs.name(pid), cgroup.removeprefix(self._base)))
            if not cgroup.startswith(self._base):
                self.outside.add(f"{pid} {procfs.name(pid)} ({procfs.command(pid)}) in {cgroup}")
