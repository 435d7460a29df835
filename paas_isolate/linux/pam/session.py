"""Real PAM sessions for a trial, each in a child: its process goes where the session goes, and ends there."""

import json
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from paas_isolate.linux import procfs
from paas_isolate.linux.pam.profile import NAME

SERVICE = f"/etc/pam.d/{NAME}"
"""There only while something is tried. Whoever is root needs no password for it."""

_BEGINNING = "auth required pam_rootok.so\naccount required pam_permit.so\n"
_PATIENCE = 30.0
"""Seconds: what has not ended by then hangs."""


class Session(NamedTuple):
    """How a session began. `answer` is PAM's (0 is success), `said` what the user was told, `cgroup` where the
    process was then, absolute in the hierarchy; `microseconds` is pam_open_session(3) alone."""

    answer: int
    reason: str
    said: str
    cgroup: str
    microseconds: float


@contextmanager
def stack(session_lines: str) -> Iterator[None]:
    """Our own service with these lines, while the block lasts."""
    descriptor = os.open(SERVICE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(_BEGINNING + session_lines)
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(SERVICE)


def only_sessions(text: str) -> str:
    """The session lines of a stack's file."""
    return "".join(f"{line}\n" for line in text.splitlines() if line.lstrip("-").startswith("session"))


def open_session(user: str) -> Session:
    """Open and close one session of `user` through the stack; one that does not answer is ended."""
    answer, to = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(answer)
            found = json.dumps(_session(user)._asdict()).encode()
            os.write(to, found)
        finally:
            os._exit(0)
    os.close(to)
    try:
        data = _all_of(answer)
    finally:
        os.close(answer)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not data:
        return Session(-1, f"the session did not open within {_PATIENCE:.0f} s, or its process died", "", "", 0)
    return Session(**json.loads(data))


def _session(user: str) -> Session:
    from pam import PamAuthenticator  # type: ignore[attr-defined]  # mypy takes our own directory of C for it

    pam = PamAuthenticator()
    if not pam.authenticate(user, "", NAME, call_end=False, resetcreds=False):
        return Session(pam.code, str(pam.reason), " ".join(pam.messages), "", 0)
    begin = time.perf_counter()
    answer = pam.open_session()
    spent = (time.perf_counter() - begin) * 1e6
    reason = str(pam.reason)
    where = procfs.cgroup(os.getpid()) or ""
    if not answer:
        pam.close_session()
    pam.end()
    return Session(answer, reason, " ".join(pam.messages), where, spent)


def _all_of(answer: int) -> bytes:
    found, end = b"", time.monotonic() + _PATIENCE
    while (left := end - time.monotonic()) > 0 and select.select([answer], [], [], left)[0]:
        part = os.read(answer, 65536)
        if not part:
            return found
        found += part
    return b""
