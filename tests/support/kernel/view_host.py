"""A hosting machine with views: a mount namespace with shared propagation, as a real one has, and a first process."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions
from tests.support.kernel.host import ALICE, BOB, CAROL, TestHost
from tests.support.kernel.pam_session import QUIET, Built
from tests.support.waiting import wait_for

PRIVATE = "private: {processes: true, tmp: true, shm: true}\n"
LISTS = "import json, os; print(json.dumps(sorted(os.listdir({path!r}))))"
PYTHON = ("/usr/bin/python3", "-ISc")


class ViewHost:
    """`host` must not lie below what a view covers."""

    def __init__(self, host: TestHost, launcher: Path, module: Built) -> None:
        self.host, self.launcher, self.module = host, launcher, module
        self.run_directory = host.place / "run"
        (host.place / "secret").mkdir()
        first = 300_000 + secrets.randbelow(100_000) * 100  # runs beside each other sweep in what has their uids
        self.alice, self.bob, self.carol = first, first + 1, first + 2
        config, passwd = host.etc / "config.yaml", host.place / "passwd"
        text = config.read_text().replace(f"last_uid: {CAROL}", f"last_uid: {first + 99}")
        config.write_text(text.replace(f"first_uid: {ALICE}", f"first_uid: {first}"))
        users = [f"u{n}:x:{first + 3 + n}:1::/:/bin/sh\n" for n in range(90)]
        text = passwd.read_text().replace(str(ALICE), str(first)).replace(str(BOB), str(first + 1))
        passwd.write_text(text.replace(str(CAROL), str(first + 2)) + "".join(users))
        config.write_text(f"{config.read_text()}private: {{tmp: {host.place}/private}}\nhide: [{host.place}/secret]\n")
        decisions.save(str(host.place / "state"), Decisions(launcher=True))
        # Another test removes its network namespaces at any time, and with them these mounts.
        waits = "umount -l /run/netns/* 2>/dev/null;"
        waits += f"mount --make-rshared / && mount --bind {host.place}/passwd /etc/passwd && mkdir -p /var/tmp"
        own = ("--mount", "--propagation", "private", "--mount-proc", "--pid", "--fork", "--kill-child")
        script = f"{waits} && echo && exec sleep infinity"
        self.holder = subprocess.Popen(["unshare", *own, "sh", "-c", script], stdout=subprocess.PIPE)
        assert self.holder.stdout and self.holder.stdout.readline()
        there = f"/proc/{self.holder.pid}/ns"
        self._nsenter = ["nsenter", f"--mount={there}/mnt", f"--pid={there}/pid_for_children"]

    def end(self) -> None:
        self.holder.kill()
        self.holder.communicate()

    def inside(self, *words: str, **how: Any) -> subprocess.CompletedProcess[str]:
        """On the host, as root."""
        line = [*self._nsenter, *words]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, **{"env": QUIET, "cwd": "/", **how})

    def command(self, *words: str) -> list[str]:
        """The words that run paas-isolate on the host, with PYTHONPATH of its own."""
        places = (("--etc", "etc"), ("--state", "state"), ("--run", "run"))
        options = [word for name, place in places for word in (name, str(self.host.place / place))]
        path = f"PYTHONPATH={os.pathsep.join(sys.path)}"
        return [*self._nsenter, "env", path, sys.executable, "-m", "paas_isolate", *options, *words]

    def paas(self, *words: str, code: int | None = 0) -> str:
        line = self.command(*words)
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd="/")
        assert code is None or done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def sell(self, *names: str, text: str = PRIVATE) -> None:
        for name in names:
            self.host.account(name, f"limits: {{memory: {{kill: process}}}}\n{text}")
        self.paas("reconcile")

    def enter(self, name: str, *command: str) -> list[str]:
        """The words that run a command as a customer, in the account's view."""
        doors = f"{self.run_directory}/doors"
        return [str(self.launcher), "--doors", doors, f"{name}/login", "--", *command]

    def asks(self, name: str, script: str) -> str:
        """What a shell of the customer's says, and complains."""
        done = self.inside(*self.enter(name, "/bin/sh", "-c", script))
        return (done.stdout + done.stderr).strip()

    def python(self, name: str, program: str) -> Any:
        """What a program of the customer's prints, as JSON."""
        done = self.inside(*self.enter(name, *PYTHON, program))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def starts(self, name: str, *command: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        line = [*self._nsenter, *self.enter(name, *command)]
        return subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=QUIET, cwd="/")

    def pids(self, uid: int) -> list[int]:
        """As the host's processes are numbered."""
        return [int(pid) for pid in self.inside("pgrep", "-u", str(uid)).stdout.split()]

    def mounts(self) -> list[str]:
        """Those of the host."""
        return self.inside("cat", "/proc/self/mountinfo").stdout.splitlines()

    def in_view(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        """As root, in an account's view."""
        handle = os.readlink(f"/proc/{self.holder.pid}/root{self.run_directory}/doors/{self.uid(name)}:view")
        assert handle == f"view/{name}"
        way = "import os, sys; from paas_isolate.linux.namespaces import syscalls;"
        way += f"syscalls.enter(os.open('{self.run_directory}/views/keeper', 0));"
        way += "syscalls.enter(os.open('/' + sys.argv[1], 0)); os.execvp(sys.argv[2], sys.argv[2:])"
        path = {**QUIET, "PYTHONPATH": os.pathsep.join(sys.path)}
        return self.inside(sys.executable, "-c", way, name, *words, env=path)

    def uid(self, name: str) -> int:
        for line in (self.host.place / "passwd").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split(":")[2])
        raise AssertionError(name)

    def session(self, name: str, *options: str) -> list[str]:
        """How a login of a customer's begins: PAM's answer, what was said, the cgroup, and what /tmp/whose says."""
        return self.inside(*self.session_command(name, *options)).stdout.splitlines()

    def session_command(self, name: str, *options: str) -> list[str]:
        confdir = self.host.place / "pam.d"
        confdir.mkdir(exist_ok=True)
        doors = f"doors={self.run_directory}/doors"
        command = self.module.command(
            confdir, "su", name, doors, f"first_uid={self.alice}", f"last_uid={self.carol}", *options
        )
        return [*command, "/tmp/whose"]


def lives(view_host: ViewHost, uid: int) -> list[int]:
    """The pids of a customer's processes, of which there are some."""
    return wait_for(lambda: view_host.pids(uid), what=f"a process of {uid} is there")
