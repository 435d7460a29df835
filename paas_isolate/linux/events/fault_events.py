"""Event source: an account has hit a limit, or all its work waits for IO.

The kernel reports every change of memory.events and pids.events, which count the leaves too, through inotify(7); and
for IO it wakes who has written a threshold to io.pressure (psi.rst, Monitoring for pressure thresholds). inotify takes
no descriptor for a file, such a threshold takes one, and a kernel thread.
"""

import os
import select
from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from paas_isolate.linux.events import inotify_raw
from paas_isolate.metering.reading import pressure

ACCOUNTS = 4096
"""Accounts whose files are watched. A watch takes 1 kB of the kernel's memory, and no descriptor."""
TRIGGERS = 64
"""Accounts with a threshold for IO."""
WINDOW = 2_000_000
"""Microseconds over which IO is judged."""
_MODIFY, _ONCE, _IGNORED = 0x2, 0x80000000, 0x8000
_FILES = ("memory.events", "pids.events")


class FaultEventSource:
    """Watches nothing until `watch` names accounts. OSError when there can be no more inotify instances.

    An account that has hit a limit is reported once until the next `watch`: one that does so all the time costs no
    more than one event a sample.
    """

    def __init__(self) -> None:
        self._libc, self._inotify = inotify_raw.instance()
        self._poll = select.epoll()
        self._poll.register(self._inotify, select.EPOLLIN)
        self._users, self._links = "", 0
        self._leaves = False
        self._watches: dict[int, tuple[str, str]] = {}
        """By watch: the account and the file."""
        self._watched: dict[str, dict[str, int]] = {}
        """By account: the watch of each file."""
        self._fired: set[str] = set()
        """Accounts of which a file is no longer watched."""
        self._triggers: dict[str, _Trigger] = {}

    def fileno(self) -> int:
        return self._poll.fileno()

    def close(self) -> None:
        for directory in list(self._triggers):
            self._drop_trigger(directory)
        self._poll.close()
        os.close(self._inotify)

    def watch(self, users: str, active: Collection[str], waited: int) -> set[str]:
        """Watch the accounts with these directories below `users`, and all together; and as many others as there is
        room for: at first all, later those that were active last. `waited` is the percentage of WINDOW that all work
        must have waited for IO. Returns the accounts that had hit a limit since the last `watch`: what they have hit
        since `hit` named them has not been reported."""
        if users != self._users:
            self._forget_all()
            self._users, self._links = users, 0
            self._leaves = not os.path.exists(os.path.join(users, "pids.events.local"))
        idle = [directory for directory in self._watched if directory and directory not in active]
        for directory in idle[: max(0, len(idle) + len(active) - ACCOUNTS)]:
            self._fired.discard(directory)
            for watch in self._watched.pop(directory).values():
                self._watches.pop(watch, None)
                self._libc.inotify_rm_watch(self._inotify, watch)
        for directory in ("", *self._fired, *active, *self._others()):
            watched = self._watched.get(directory)
            whole = watched is not None and len(watched) >= len(_FILES) and directory not in self._fired
            if not whole and (watched is not None or not directory or len(self._watched) <= ACCOUNTS):
                self._watch(directory)
        fired, self._fired = self._fired, set()
        for directory in self._triggers.keys() - set(active):
            self._drop_trigger(directory)
        self.waiting()  # so that the next look compares with now
        for directory in islice(active, 2 * TRIGGERS):  # without PSI each try is in vain
            if directory not in self._triggers and len(self._triggers) < TRIGGERS:
                self._add_trigger(directory, waited * WINDOW // 100)
        return fired

    def _others(self) -> list[str]:
        """All accounts, where there is room and one was made or removed since the last look."""
        try:
            links = os.stat(self._users).st_nlink
            if links == self._links or len(self._watched) > ACCOUNTS:
                return []
            self._links = links
            with os.scandir(self._users) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # the tree is gone: the full pass says so
            return []

    def hit(self) -> set[str]:
        """The accounts that have hit a limit; '': perhaps one of all together."""
        return set(self._hit())

    def waiting(self) -> set[str]:
        """The accounts that have waited for IO, by the kernel's own totals since the last look. Which one woke us is
        unknown: a poll of our `fileno` has asked the thresholds already, and each answers once (psi_trigger_poll)."""
        waiting = set()
        for directory, trigger in list(self._triggers.items()):
            try:
                total = _total(trigger.file)
            except OSError:  # the cgroup is gone
                self._drop_trigger(directory)
                continue
            if total - trigger.total >= trigger.stall:
                waiting.add(directory)
            self._triggers[directory] = trigger._replace(total=total)
        return waiting

    def _hit(self) -> Iterator[str]:
        for watch, mask, _ in inotify_raw.read(self._inotify):
            if (known := self._watches.get(watch)) is None:
                continue
            if mask & _IGNORED:
                directory, file = self._watches.pop(watch)
                if directory in self._watched:
                    del self._watched[directory][file]
                    self._fired.add(directory)
            else:
                yield known[0]

    def _watch(self, directory: str) -> None:
        watched = self._watched.setdefault(directory, {})
        for file in self._files(directory):
            if file not in watched:
                path = os.path.join(self._users, directory, file)
                watch = self._libc.inotify_add_watch(self._inotify, os.fsencode(path), _MODIFY | _ONCE)
                if watch >= 0:  # else the controller is not there, or the cgroup is gone
                    watched[file] = watch
                    self._watches[watch] = directory, file
        if not watched:
            del self._watched[directory]

    def _files(self, directory: str) -> Iterator[str]:
        yield from _FILES
        if self._leaves and directory:  # before Linux 6.11 a refused fork is told where it was asked for alone
            with suppress(OSError), os.scandir(os.path.join(self._users, directory)) as entries:
                yield from (f"{each.name}/pids.events" for each in entries if each.is_dir(follow_symlinks=False))

    def _forget_all(self) -> None:
        for watch in self._watches:
            self._libc.inotify_rm_watch(self._inotify, watch)
        for known in (self._watches, self._watched, self._fired):
            known.clear()
        for directory in list(self._triggers):
            self._drop_trigger(directory)

    def _add_trigger(self, directory: str, stall: int) -> None:
        try:
            file = os.open(
                os.path.join(self._users, directory, "io.pressure"), os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK
            )
        except OSError:
            return
        try:
            os.write(file, b"full %d %d\0" % (stall, WINDOW))
            self._triggers[directory] = _Trigger(file, stall, _total(file))
            self._poll.register(file, select.EPOLLPRI)
        except OSError:  # no PSI, or none for IO
            self._triggers.pop(directory, None)
            os.close(file)

    def _drop_trigger(self, directory: str) -> None:
        os.close(self._triggers.pop(directory).file)


class _Trigger(NamedTuple):
    """A threshold of `stall` microseconds, and the time that all work of the account had waited when we last looked."""

    file: int
    stall: int
    total: int


def _total(file: int) -> int:
    return pressure(os.pread(file, 4096, 0))[1] or 0
