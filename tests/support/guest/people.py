"""Customers: Unix users, their programs, and the YAML of their accounts."""

import json
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.guest.machine import ETC, TREE, pids_of, run, uids_of
from tests.support.waiting import wait_for

Program = subprocess.Popen[str]


@dataclass
class Customer:
    """A Unix user, and the programs that a test has started as this user."""

    name: str
    uid: int
    gid: int
    home: Path
    started: list[Program] = field(default_factory=list)

    def runs(self, *program: str, leaf: str = "") -> Program:
        """Starts a program as this user, all privileges dropped: as a stray, or in a leaf of the tree.

        One word is a script for sh: `runs("echo ready; sleep 100")`.
        """
        argv = program if len(program) > 1 else ("sh", "-c", program[0])
        enter = f"{TREE / leaf}/cgroup.procs" if leaf else "/dev/null"
        drop = ("setpriv", "--reuid", str(self.uid), "--regid", str(self.gid), "--clear-groups", "--inh-caps=-all")
        line = ["sh", "-c", 'echo 0 >"$0" && exec "$@"', enter, *drop, "--", *argv]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            line, cwd=self.home, text=True, start_new_session=True, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT
        )
        self.started.append(process)
        wait_for(
            lambda: uids_of(process.pid) == {self.uid} or process.poll() is not None, what=f"{argv} runs as {self.name}"
        )
        return process

    def python(self, program: str, leaf: str = "") -> Program:
        return self.runs("python3", "-ISc", program, leaf=leaf)

    def sleeps(self, leaf: str = "") -> int:
        """The pid of a program that does nothing."""
        return self.runs("sleep", "1000", leaf=leaf).pid

    def burns(self, leaf: str, *, for_a_moment: bool = False) -> Program:
        """A program that takes all the CPU time that it gets in a leaf, but for its start; or a burst of it, and
        then a rest, again and again."""
        sometimes = "while :; do i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; sleep 1; done"
        process = self.runs(f"read go; {sometimes if for_a_moment else 'while :; do :; done'}")
        (TREE / leaf / "cgroup.procs").write_text(str(process.pid))
        tell(process)
        return process

    def burns_for(self, seconds: int, leaf: str) -> Program:
        """A program that takes all the CPU time that it gets for so long, and then says how many seconds it had."""
        burn = f"end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"
        said = "print(time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), flush=True)"
        return self.python(f"import os, time\n{burn}\n{said}\nos._exit(0)", leaf)

    def holds(self, megabytes: int, leaf: str = "") -> Program:
        """A program that has so much memory in use. Told a line, it lets go of it and says `free`."""
        take = f"import sys; held = bytearray(b'x') * ({megabytes} << 20); print('held', flush=True)"
        release = "sys.stdin.readline(); del held; print('free', flush=True); sys.stdin.readline()"
        process = self.python(f"{take}; {release}", leaf=leaf)
        hears(process, "held")
        return process

    def wants_processes(self, number: int, leaf: str = "") -> Program:
        """A program that has tried to have so many processes, itself among them."""
        fork = f"for _ in range({number} - 1): os.fork() or signal.pause()"
        process = self.python(f"import os, signal\ntry:\n {fork}\nexcept OSError: pass\n{SAY_TRIED}", leaf=leaf)
        hears(process, "tried")
        return process


Sell = Callable[..., Customer]
"""`sell("alice", limits={"memory": "64M"})`: Specs.sell()."""
SAY_TRIED = "os.write(1, b'tried\\n'); signal.pause()"


def hears(process: Program, line: str, *, seconds: float = 60) -> None:
    """Waits until a program says a line."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    said = process.stdout.readline().rstrip("\n") if ready else "nothing"
    assert said == line, f"{process.args!r} said {said!r} and not {line!r}"


def tell(process: Program, line: str = "") -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def ends(uids: Collection[int]) -> None:
    """Ends every process of these users, however many come after."""

    def none_left() -> bool:
        left = pids_of(*uids)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait_for(none_left, what="no process of a customer is left")


class Customers:
    """`customer("alice")` is a Unix user, made when first asked for, removed at the end of the session."""

    def __init__(self) -> None:
        self._there: dict[str, Customer] = {}
        self._forgotten: list[Customer] = []

    def __call__(self, name: str, *options: str) -> Customer:
        """`options` are those of useradd(8)."""
        if name not in self._there:
            subprocess.run(["useradd", "--create-home", *options, name], check=True, capture_output=True)
            told = subprocess.run(["getent", "passwd", name], check=True, capture_output=True, text=True).stdout
            _, _, uid, gid, _, home, _ = told.split(":")
            self._there[name] = Customer(name, int(uid), int(gid), Path(home))
        return self._there[name]

    def forget(self, customer: Customer) -> None:
        """The user is not in the machine's databases any more, as when LDAP is down; the test goes on with it."""
        run("userdel", "--force", customer.name)
        self._forgotten.append(self._there.pop(customer.name))

    def end(self) -> None:
        """Ends every process of theirs, however many come after."""
        customers = [*self._there.values(), *self._forgotten]
        ends([customer.uid for customer in customers])
        for customer in customers:
            for process in customer.started:
                process.communicate()
            customer.started.clear()
        for customer in self._forgotten:
            shutil.rmtree(customer.home)
        self._forgotten.clear()

    def leave(self) -> None:
        self.end()
        for name in self._there:
            subprocess.run(["userdel", "--force", "--remove", name], check=True, capture_output=True)
        self._there.clear()


class Specs:
    """Writes what an administrator would, below /etc/paas-isolate; the next test begins without it."""

    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    def __call__(self, file: str, text: str) -> Path:
        """`spec("accounts.d/alice.yaml", "account: alice")`."""
        path = ETC / file
        path.write_text(text)
        return path

    def sell(self, name: str, *, users: tuple[str, ...] = (), **body: Any) -> Customer:
        """An account with its Unix users: `sell("alice", limits={"memory": "64M"})`. The first user comes back."""
        first, *_ = [self._customers(user) for user in users or (name,)]
        named = {"users": list(users)} if users else {}
        self(f"accounts.d/{name}.yaml", json.dumps({"account": name, **named, **body}))
        return first

    def config(self, **keys: Any) -> None:
        """config.yaml, with these keys instead of the installed ones."""
        self("config.yaml", json.dumps(keys))

    def path(self, name: str) -> Path:
        """The account's file."""
        return ETC / f"accounts.d/{name}.yaml"

    def withdraw(self, name: str) -> None:
        """The account's file is gone."""
        self.path(name).unlink()


HOG = "held = []\nwhile True: held.append(bytearray(b'x') * (1 << 20))"


def seconds_of(dd: Program) -> float:
    """What dd itself says of how long it took."""
    said, _ = dd.communicate(timeout=60)
    assert dd.returncode == 0, said
    return float(said.split(" s, ")[0].rsplit(", ", 1)[1])
