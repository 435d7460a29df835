"""Trial PAM sessions. Each runs in a child process, because the process that opens a session is moved to its leaf.

libpam is called directly and not through python-pam, which frees its conversation before a session is opened: a module
that prints a message then, as ours does when it refuses, would crash the process.
"""

import ctypes
import ctypes.util
import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from paas_isolate.linux.process import procfs

_PATIENCE = 30.0
"""Seconds that a session gets to open and close."""


class Session(NamedTuple):
    """How a session was opened. `answer` is what PAM returned (0 is PAM_SUCCESS, -1 no answer), `reason` the same in
    words, `said` the messages to the user. `cgroup` is where the process was then, as an absolute path in the
    hierarchy; `microseconds` is the time of pam_open_session(3) alone."""

    answer: int
    reason: str
    said: str
    cgroup: str
    microseconds: float


@contextmanager
def stack(service: str, session_lines: str) -> Iterator[str]:
    """A directory of PAM configuration in which the service has these lines. It is removed after the block."""
    with tempfile.TemporaryDirectory(prefix="paas-isolate-") as directory:
        with open(os.path.join(directory, service), "w", encoding="utf-8") as file:
            file.write(session_lines)
        yield directory


def only_sessions(text: str) -> str:
    """The session lines of a stack's file."""
    return "".join(f"{line}\n" for line in text.splitlines() if line.lstrip("-").startswith("session"))


def open_session(service: str, user: str, confdir: str = "") -> Session:
    """Open and close one session of `user`. A process that does not answer in 30 seconds is killed. `confdir` is read
    instead of /etc/pam.d."""
    answer, to = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(answer)
            os.write(to, json.dumps(_session(service, user, confdir)).encode())
        finally:
            os._exit(0)
    os.close(to)
    try:
        data = _read_all(answer)
    finally:
        os.close(answer)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not data:
        return Session(-1, f"the trial's process crashed, or hung for {_PATIENCE:.0f} s", "", "", 0)
    return Session(*json.loads(data))


class _Message(ctypes.Structure):
    _fields_ = (("style", ctypes.c_int), ("text", ctypes.c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", ctypes.c_void_p), ("code", ctypes.c_int))


_Converse = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(ctypes.POINTER(_Message)),
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_void_p,
)


class _Conversation(ctypes.Structure):
    _fields_ = (("converse", _Converse), ("data", ctypes.c_void_p))


def _session(service: str, user: str, confdir: str) -> Session:
    """pam_start_confdir(3), pam_open_session(3), pam_close_session(3). Root may open sessions without
    authentication."""
    pam = ctypes.CDLL(ctypes.util.find_library("pam") or "libpam.so.0")
    pam.pam_strerror.restype = ctypes.c_char_p
    messages: list[str] = []
    conversation, handle = _Conversation(_collecting(messages)), ctypes.c_void_p()
    arguments = [service.encode(), user.encode(), ctypes.byref(conversation)]
    answer = pam.pam_start_confdir(*arguments, confdir.encode() or None, ctypes.byref(handle))
    if answer:
        return Session(answer, "PAM does not start", "", "", 0)
    begin = time.perf_counter()
    answer = pam.pam_open_session(handle, 0)
    spent = (time.perf_counter() - begin) * 1e6
    reason = pam.pam_strerror(handle, answer).decode(errors="replace")
    where = procfs.cgroup(os.getpid()) or ""
    if not answer:
        pam.pam_close_session(handle, 0)
    pam.pam_end(handle, answer)
    return Session(answer, reason, " ".join(messages), where, spent)


def _collecting(messages: list[str]) -> Any:
    """A conversation that collects the messages and answers nothing (pam_conv(3))."""
    calloc = ctypes.CDLL(None).calloc
    calloc.restype, calloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t, ctypes.c_size_t)

    def converse(count: int, asked: Any, answers: Any, _: Any) -> int:
        messages.extend(asked[at].contents.text.decode(errors="replace") for at in range(count))
        answers[0] = calloc(count, ctypes.sizeof(_Response))  # libpam frees it
        return 0

    return _Converse(converse)


def _read_all(descriptor: int) -> bytes:
    """b"" when the end does not come within _PATIENCE."""
    data, end = b"", time.monotonic() + _PATIENCE
    while (left := end - time.monotonic()) > 0 and select.select([descriptor], [], [], left)[0]:
        part = os.read(descriptor, 65536)
        if not part:
            return data
        data += part
    return b""
