"""What a customer's program must not inherit from root, and what such a program found of it."""

import ctypes
import json
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.paths import HOSTILE

THIEF = (HOSTILE / "inherited.py").read_text()
"""The attacker's program. A customer can read nothing here, so it is handed over as text."""

PYTHON = ("/usr/bin/python3", "-I", "-S", "-c", THIEF)

_LIBC = ctypes.CDLL(None, use_errno=True)
_ADD_KEY, _KEYCTL, _PERSONALITY, _IOPRIO_SET = {
    "x86_64": (248, 250, 135, 251),
    "aarch64": (217, 219, 92, 30),
}[os.uname().machine]
_PROCESS, _SESSION = -2, -3
_JOIN, _SEARCH = 1, 10
_NO_RANDOM_ADDRESSES = 0x0040000
_SET_SECUREBITS, _NO_SETUID_FIXUP = 28, 1 << 2
_SET_TIMERSLACK, _SET_THP_DISABLE, _SET_CHILD_SUBREAPER = 29, 41, 36
SYS_NICE, SYS_RESOURCE = 23, 24


def may(capability: int) -> bool:
    """Root of a container may less: then a worse place stands for a better one."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> capability & 1)


def take_up() -> None:
    """In the caller, before it calls. Its hard limits stay where they are: where root may not raise them again, nothing
    of ours can."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    signal.setitimer(signal.ITIMER_REAL, 3600)
    os.umask(0)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.setpriority(os.PRIO_PROCESS, 0, -5 if may(SYS_NICE) else 5)
    Path("/proc/self/oom_score_adj").write_text("-500" if may(SYS_RESOURCE) else "500")
    for which, soft in (
        (resource.RLIMIT_NOFILE, 77),
        (resource.RLIMIT_FSIZE, 1 << 20),
        (resource.RLIMIT_STACK, 1 << 22),
    ):
        resource.setrlimit(which, (soft, resource.getrlimit(which)[1]))
    _LIBC.syscall(_PERSONALITY, _NO_RANDOM_ADDRESSES)
    _LIBC.syscall(_IOPRIO_SET, 1, 0, 2 << 13 | 7)
    _LIBC.prctl(_SET_TIMERSLACK, 123_456, 0, 0, 0)
    _LIBC.prctl(_SET_THP_DISABLE, 1, 0, 0, 0)
    _LIBC.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    _LIBC.prctl(_SET_SECUREBITS, _NO_SETUID_FIXUP, 0, 0, 0)
    for fd in (os.open("/etc/shadow", os.O_RDONLY), os.open("/", os.O_RDONLY)):
        os.set_inheritable(fd, True)


def keep_a_secret() -> None:
    """A key in a session keyring that this process and what it starts share."""
    if _LIBC.syscall(_KEYCTL, _JOIN, 0) < 0:
        raise OSError(ctypes.get_errno(), "no session keyring")
    if _LIBC.syscall(_ADD_KEY, b"user", b"paas-secret", b"of root", 7, _SESSION) < 0:
        raise OSError(ctypes.get_errno(), "no key")


def planted() -> bool:
    """Whether somebody has put a key into our session keyring."""
    return bool(_LIBC.syscall(_KEYCTL, _SEARCH, _SESSION, b"user", b"paas-planted", 0) > 0)


@contextmanager
def no_more_keys(uid: int) -> Iterator[None]:
    """The quota of keys of `uid` is used up, by a process of theirs."""
    here, there = os.pipe()
    child = os.fork()
    if not child:
        os.setresuid(uid, uid, uid)
        number = 0
        while _LIBC.syscall(_ADD_KEY, b"user", b"%d" % number, b"x", 1, _PROCESS) > 0:
            number += 1
        os.write(there, b"\n")
        signal.pause()
        os._exit(0)
    os.read(here, 1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(here)
        os.close(there)


def found_in(said: str) -> dict[str, Any]:
    """What the attacker printed."""
    assert ">>>" in said, said
    found: dict[str, Any] = json.loads(said.partition("<<<")[2].partition(">>>")[0])
    return found


def assert_nothing_of(found: dict[str, Any]) -> None:
    """Nothing that take_up() and keep_a_secret() have laid out is `found`."""
    kernels_own = {
        "umask": ["0022"],
        "oom": "0",
        "nice": 0,
        "policy": os.SCHED_OTHER,
        "io": 0,
        "processors": sorted(os.sched_getaffinity(1)),
        "slack": 50_000,
        "huge_pages_off": 0,
        "subreaper": 0,
        "personality": 0,
        "memory_policy": 0,
        "timer": 0.0,
        "securebits": 0,
        "ignored": 0,
        "blocked": ["0000000000000000"],
        "descriptors": [0, 1, 2],
        "secret": None,
    }
    assert {name: found[name] for name in kernels_own} == kernels_own
    limits = found["limits"]
    assert limits["RLIMIT_NOFILE"][0] == 1024
    assert limits["RLIMIT_FSIZE"] == [-1, -1]
    assert limits["RLIMIT_STACK"][0] == 8 << 20
    assert found["loginuid"] in (str(found["uids"][0]), str((1 << 32) - 1))  # a kernel without audit knows nobody


def key_is_safe() -> bool:
    """Ours is where it was."""
    return bool(_LIBC.syscall(_KEYCTL, _SEARCH, _SESSION, b"user", b"paas-secret", 0) > 0) and not planted()


def run(line: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(line, capture_output=True, text=True, timeout=20, **how)
