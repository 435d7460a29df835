"""Copies bytes between the web process (descriptor 0) and the daemon (descriptor 1), as a user without rights.

It is a program of its own, run by the login helper with `python -ISB`, so that nothing of the login is in its memory:
no password, no module of PAM, no library but a few of Python's. Its arguments are the uid and gid that it becomes.
"""

import os
import select
import sys
from _socket import SHUT_WR, socket  # socket.py, and typing.py, would be a third of its memory

_WEB, _DAEMON = 0, 1
_AT_ONCE = 1 << 16
"""Bytes that are held for either side. What comes further waits in the sender's socket."""
_ROOT = 0


def drop(uid: int, gid: int) -> None:
    """Become this user for good. RuntimeError where that did not succeed: then nothing may be copied."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if {*os.getresuid()} != {uid} or {*os.getresgid()} != {gid} or os.getgroups() or _ROOT in (uid, gid):
        raise RuntimeError("it is still another user")
    for back in (_become_root, _join_root, _join_groups):
        try:
            back()
        except PermissionError:
            continue
        raise RuntimeError("it can become root again")


def _become_root() -> None:
    os.setresuid(-1, _ROOT, -1)


def _join_root() -> None:
    os.setresgid(-1, _ROOT, -1)


def _join_groups() -> None:
    os.setgroups([_ROOT])


class _Way:
    """One direction. `held` is what was read and not yet written; `ended`: there is no more to read."""

    def __init__(self, source: socket, target: socket) -> None:
        self.source, self.target, self.held, self.ended = source, target, b"", False

    @property
    def reads(self) -> bool:
        return not (self.held or self.ended)

    def go_on(self, ready: bool) -> None:
        """Read if the source is ready, and write what the target takes."""
        try:
            if self.reads and ready:
                self.held = self.source.recv(_AT_ONCE)
                self.ended = not self.held
            if self.held:
                self.held = self.held[self.target.send(self.held) :]
        except BlockingIOError:
            return


def copy(web: socket, daemon: socket) -> None:
    """Copy both ways until either side has closed its connection. A side that only ends what it sends still receives.
    OSError where a side has gone while something was sent to it."""
    questions, answers = _Way(web, daemon), _Way(daemon, web)
    ended = False
    web.setblocking(False)
    daemon.setblocking(False)
    while not (answers.ended and not answers.held):
        if questions.ended and not (questions.held or ended):
            daemon.shutdown(SHUT_WR)
            ended = True
        poll = select.poll()
        poll.register(web, _mask(questions, answers))
        if mask := _mask(answers, questions):  # a daemon that has closed would be reported again and again
            poll.register(daemon, mask)
        ready = dict(poll.poll())
        if ready.get(web.fileno(), 0) & (select.POLLHUP | select.POLLERR):
            return
        questions.go_on(web.fileno() in ready)
        answers.go_on(daemon.fileno() in ready)


def _mask(leaving: _Way, arriving: _Way) -> int:
    """What to wait for at the side that `leaving` reads from and `arriving` writes to."""
    return (select.POLLIN if leaving.reads else 0) | (select.POLLOUT if arriving.held else 0)


def main() -> None:
    uid, gid = map(int, sys.argv[1:])
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    drop(uid, gid)
    try:
        copy(socket(fileno=_WEB), socket(fileno=_DAEMON))
    except OSError:
        return


if __name__ == "__main__":
    main()
