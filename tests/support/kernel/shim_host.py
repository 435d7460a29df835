"""paas-run with sanitizers, and customers who attack it: `nobody` is the customer, `daemon` another one."""

import ctypes
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.linux.services import launch
from paas_isolate.model.service_program import Launch
from tests.support.kernel.pam_session import SANITIZERS, STRICT
from tests.support.kernel.pam_sources import RUN
from tests.support.waiting import wait_for

CUSTOMER, OTHER = 65534, 1
LEAF = "users/nobody/web"
CLONE_NEWNS = 0x00020000

# What is not freed at the end is no leak. A keeper's standard error is nothing: what a sanitizer finds goes to files.
_OPTIONS = 'const char *%s(void); const char *%s(void) { return "detect_leaks=0:log_path=%s/found"; }\n'


def build(place: Path, *more: str) -> Path:
    """paas-run, compiled with `more`, beside a directory `found`, in which every complaint of a sanitizer lands."""
    complaints = place / "complaints"
    complaints.mkdir()
    complaints.chmod(0o777)
    place.chmod(0o755)
    options = place / "options.c"
    names = ("__asan_default_options", "__ubsan_default_options")
    options.write_text("".join(_OPTIONS % (name, name, complaints) for name in names))
    subprocess.run(["gcc", *STRICT, *SANITIZERS, *more, "-o", place / "paas-run", *RUN, options], check=True)
    return place / "paas-run"


class ShimHost:
    """One leaf, a home that is the customer's, and paas-run."""

    def __init__(self, home: Path, program: Path, cgroups: CgroupTree) -> None:
        self.home, self.program, self.cgroups = home, program, cgroups
        for path in ("users", "users/nobody", LEAF):
            cgroups.create(path)
        home.chmod(0o755)
        os.chown(home, CUSTOMER, CUSTOMER)
        self.record = home.parent / f"{home.name}.record"

    def of(self, command: str, **more: object) -> Launch:
        where = {"account": "nobody", "service": "web", "number": 1, "user": "nobody", "uid": CUSTOMER}
        return Launch(**{**where, "command": command, "directory": str(self.home), "log": str(self.log), **more})  # type: ignore[arg-type]

    @property
    def log(self) -> Path:
        return self.home / "logs/web.log"

    def said(self) -> str:
        return self.log.read_text() if self.log.is_file() else ""

    def begin(self, command: str, *, before: Callable[[], None] = lambda: None, ended: str = "", **more: object) -> str:
        """By the product's own hand, in a child in which `before` has been done. '' or why nothing began. `ended`: it
        is not begun, but told how it did."""
        here, there = os.pipe()
        child = os.fork()
        if not child:
            os.close(here)
            os.write(there, self._begin(command, before, ended, more).encode())
            os._exit(0)
        os.close(there)
        told = b""
        while more_of_it := os.read(here, 4096):
            told += more_of_it
        os.close(here)
        os.waitpid(child, 0)
        if not told and not ended:  # paas-run waits for nobody in the leaf
            wait_for(lambda: {words[0] for words in self.notes()} & {"main", "waiting", "failed"}, what="it has begun")
        return told.decode()

    def _begin(self, command: str, before: Callable[[], None], ended: str, more: dict[str, object]) -> str:
        try:
            before()
            launch.LAUNCHER = str(self.program)  # this process ends with it
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
            with self.cgroups.directory(LEAF) as leaf:
                launch.launch(self.of(command, **more), leaf, os.open(self.record, flags, 0o600), "", ended=ended)
        except HostError as error:
            return str(error)
        except BaseException as error:  # noqa: BLE001  (it may not come back into the test)
            return f"{error!r}"
        return ""

    def pids(self) -> dict[str, int]:
        """By the name of the program: `paas-run` is the keeper."""
        return {procfs.name(pid): pid for pid in self.cgroups.pids(LEAF)}

    def keeper(self) -> int:
        return self.pids()["paas-run"]

    def main(self) -> int:
        (found,) = (int(words[1]) for words in self.notes() if words[0] == "main")
        return found

    def notes(self) -> list[list[str]]:
        return [line.split() for line in self.record.read_text().splitlines()]

    def waiting(self) -> list[str]:
        """What it waits for: as soon as the record has it."""
        wait_for(lambda: any(words[0] == "waiting" for words in self.notes()), what="why it did not begin is noted")
        return [" ".join(words[1:-1]) for words in self.notes() if words[0] == "waiting"]

    def ended(self) -> list[str]:
        """`exit 0`, `signal 9`: as soon as the record has it."""
        wait_for(
            lambda: any(words[0] in ("exit", "signal") for words in self.notes()), what="its end is noted", deadline=40
        )
        (found,) = (words for words in self.notes() if words[0] in ("exit", "signal"))
        return found[:2]

    def tell(self, **more: object) -> dict[str, object]:
        """What a program finds that it has been begun with."""
        (self.home / "tell.py").write_text(TELL)
        failed = self.begin("exec /usr/bin/python3 -ISs tell.py", **more)  # type: ignore[arg-type]  # a test says which
        assert not failed, failed
        assert self.ended() == ["exit", "0"], self.said()
        found: dict[str, object] = json.loads(self.said())
        return found


TELL = """
import ctypes, json, os, resource, signal
def status(word):
    return next(line.split()[1:] for line in open("/proc/self/status") if line.startswith(word))
def text(path):
    try:
        return open(path).read().strip()
    except OSError as error:
        return error.strerror
print(json.dumps({
    "uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(), "environment": dict(os.environ),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1], "directory": os.getcwd(),
    "cgroup": [line[3:].strip() for line in open("/proc/self/cgroup") if line.startswith("0::")][0],
    "umask": status("Umask:"), "oom": text("/proc/self/oom_score_adj"), "loginuid": text("/proc/self/loginuid"),
    "keys": text("/proc/keys"), "nice": os.getpriority(os.PRIO_PROCESS, 0), "policy": os.sched_getscheduler(0),
    "capabilities": {name: status(name + ":")[0] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")},
    "no_new_privs": status("NoNewPrivs:"), "ignored": status("SigIgn:"), "blocked": status("SigBlk:"),
    "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"},
    "leader": os.getsid(0) in (os.getpid(), os.getppid()), "input": os.readlink("/proc/self/fd/0"),
}))
"""


def private_mounts() -> None:
    """In a child alone: what is mounted from now on, nobody else sees."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def as_customer(*words: str) -> subprocess.CompletedProcess[str]:
    drop = ("setpriv", "--reuid", str(CUSTOMER), "--regid", str(CUSTOMER), "--clear-groups")
    return subprocess.run([*drop, *words], capture_output=True, text=True, timeout=20, cwd="/")


def keep_capabilities() -> None:
    """As root may have it (capabilities(7)): setresuid(2) takes none away, and execve(2) hands all of them on."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    set_securebits, no_setuid_fixup, ambient, raise_ = 28, 1 << 2, 47, 2
    assert libc.capget(header, data) == 0
    data[2], data[5] = data[1], data[4]  # what is inheritable: all that is permitted
    assert libc.capset(header, data) == 0
    assert libc.prctl(set_securebits, no_setuid_fixup, 0, 0, 0) == 0
    assert libc.prctl(ambient, raise_, 1, 0, 0) == 0  # CAP_DAC_OVERRIDE


@contextmanager
def opened(program: Path, cgroups: CgroupTree) -> Iterator[ShimHost]:
    """A ShimHost for one test. At its end the leaf is killed, and no sanitizer may have complained."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        home = Path(place) / "home"
        home.mkdir()
        yield ShimHost(home, program, cgroups)
        cgroups.kill(LEAF)
    found = [path.read_text() for path in (program.parent / "complaints").iterdir()]
    assert not found, found[0]
