"""All access to the cgroup tree: by directory descriptor, below its root, never through a symbolic link.

Paths are those of `model.tree`: relative to our root, or absolute in the cgroup2 hierarchy. Unless a docstring says
otherwise, a cgroup or file that does not exist reads as None, and every other error is the kernel's OSError.
"""

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from paas_isolate.linux.process import procfs

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_WRITE = os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_SHORT = 400
"""Bytes of a knob's file that are read at first. Nearly all files are shorter."""

PROCS = "cgroup.procs"

REMOVAL_TRIES = 20
"""How often rmdir(2) is tried: it fails with EBUSY for a moment after the last process has exited."""

FREEZE_SECONDS = 0.2
"""How long `kill` waits until the cgroup is frozen."""

FORK_TRIES = 5
"""How often a process is written to cgroup.procs: the write fails with EINVAL for a task that is just being forked."""


class CgroupTree:
    """A subtree of the cgroup2 hierarchy. `mount` is the path where the hierarchy is mounted, `root` the path of our
    directory in it. OSError when one of them cannot be opened. A context manager: leaving it closes both."""

    def __init__(self, mount: str, root: str) -> None:
        self.mount = mount
        self.root = root
        self.removing: Callable[[str], None] | None = None
        """Called with the path of each cgroup that is about to be removed. It must not raise."""
        self._known: dict[tuple[tuple[str, ...], bytes], Mapping[str, str]] = {}
        self._mount = os.open(mount, _DIRECTORY)
        try:
            self._root = os.open(root, _DIRECTORY)
        except OSError:
            os.close(self._mount)
            raise

    def __enter__(self) -> "CgroupTree":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._root)
        os.close(self._mount)

    def path_of(self, absolute: str) -> str:
        """The path, as this class takes it, of a cgroup as /proc/PID/cgroup names it: relative when it is in the tree,
        else unchanged."""
        base = self.root[len(self.mount) :]
        if absolute.startswith(base + "/"):
            return absolute[len(base) + 1 :]
        return absolute

    def exists(self, path: str) -> bool:
        base, relative = self._at(path)
        try:
            os.stat(relative or ".", dir_fd=base, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, path: str, knob: str) -> str | None:
        """The first 64 KiB of the knob's text, without a newline at the end; None when cgroup or knob does not
        exist."""
        base, relative = self._at(path)
        try:
            fd = os.open(f"{relative}/{knob}" if relative else knob, _READ, dir_fd=base)
        except FileNotFoundError:
            return None
        try:
            text = os.read(fd, 65536)
        except OSError as error:
            if error.errno != errno.ENODEV:  # removed between open and read
                raise
            return None
        finally:
            os.close(fd)
        return _line(text)

    def look(self, path: str, names: tuple[str, ...]) -> tuple[Mapping[str, str], tuple[int, ...]] | None:
        """The text of each of the files `names`, by name and without the newline at the end, and the pids in the
        cgroup, which are read when PROCS is the last of `names`. Files that this cgroup does not have are left out.
        None when the cgroup does not exist. Cgroups whose files have the same text share one mapping."""
        base, relative = self._at(path)
        try:
            directory = os.open(relative or ".", _DIRECTORY, dir_fd=base)
        except FileNotFoundError:
            return None
        there, texts = _texts(directory, names)
        members = texts.pop() if there and there[-1] == PROCS else b""
        key = there, b"\0".join(texts)
        if (known := self._known.get(key)) is None:
            known = self._known[key] = dict(zip(there, map(_line, texts), strict=False))  # PROCS is left over
        return known, tuple(map(int, members.split())) if members else ()

    def pids(self, path: str) -> tuple[int, ...]:
        """The pids in this cgroup, without those below it (cgroup.procs); () when the cgroup does not exist."""
        return self._numbers(path, PROCS)

    def threads(self, path: str) -> Iterator[int]:
        """The thread ids in this cgroup and below it (cgroup.threads). A process may be missing from `pids` while its
        threads are here: its first thread was in another cgroup when it ended."""
        yield from self._numbers(path, "cgroup.threads")
        for name in self.children(path):
            yield from self.threads(f"{path}/{name}" if path else name)

    def _numbers(self, path: str, file: str) -> tuple[int, ...]:
        base, relative = self._at(path)
        try:
            fd = os.open(f"{relative}/{file}" if relative else file, _READ, dir_fd=base)
        except FileNotFoundError:
            return ()
        try:
            text = _rest(fd)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return ()
        finally:
            os.close(fd)
        return tuple(map(int, text.split()))

    def children(self, path: str) -> list[str]:
        """The names of the cgroups directly below; [] when the cgroup does not exist."""
        try:
            with self._directory(path) as fd, os.scandir(fd) as entries:
                return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []

    def subdirectories(self, path: str) -> int:
        """How many cgroups are directly below; 0 when the cgroup does not exist. Each counts as one link of the
        directory, beside the directory's own two."""
        base, relative = self._at(path)
        try:
            return os.stat(relative or ".", dir_fd=base, follow_symlinks=False).st_nlink - 2
        except FileNotFoundError:
            return 0

    def files(self, path: str) -> set[str]:
        """The names of the files in a cgroup: which knobs this kernel has. FileNotFoundError when the cgroup does not
        exist."""
        with self._directory(path) as fd, os.scandir(fd) as entries:
            return {entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)}

    def descendants(self, path: str) -> int:
        """How many cgroups are below, at all levels (cgroup.stat, nr_descendants); 0 when the cgroup does not exist."""
        text = self.read(path, "cgroup.stat") or "nr_descendants 0"
        return int(text.split()[1])

    def write(self, path: str, knob: str, text: str) -> None:
        """Write a knob by one write(2), as the kernel's interface requires. OSError: what the kernel answers, for
        example FileNotFoundError when cgroup or knob does not exist."""
        fd = self.opened(path, knob)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def opened(self, path: str, knob: str) -> int:
        """A descriptor of a knob's file, open for writing. The caller closes it. OSError as `write`."""
        base, relative = self._at(path)
        return os.open(f"{relative}/{knob}" if relative else knob, _WRITE, dir_fd=base)

    def attach(self, path: str, pid: int) -> None:
        """Move a process into a cgroup. ProcessLookupError when the process has exited; else OSError as `write`."""
        for _ in range(FORK_TRIES):
            try:
                return self.write(path, PROCS, str(pid))
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                time.sleep(0.001)
        return self.write(path, PROCS, str(pid))

    def create(self, path: str, mode: int = 0o755) -> None:
        """Make a cgroup. Nothing happens when it exists."""
        base, relative = self._at(path)
        try:
            os.mkdir(relative, mode, dir_fd=base)
        except FileExistsError:
            return

    def remove(self, path: str) -> None:
        """Remove a cgroup; nothing happens when it does not exist. OSError with EBUSY when a process or another cgroup
        is still in it."""
        if self.removing is not None:
            self.removing(path)
        base, relative = self._at(path)
        for attempt in range(REMOVAL_TRIES):
            try:
                return os.rmdir(relative, dir_fd=base)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno != errno.EBUSY or self.populated(path) or attempt + 1 == REMOVAL_TRIES:
                    raise
                time.sleep(0.005)
        return None

    @contextmanager
    def directory(self, path: str) -> Iterator[int]:
        """A descriptor of a cgroup's directory while the block lasts, to start a program in that cgroup (clone(2),
        CLONE_INTO_CGROUP). FileNotFoundError when the cgroup does not exist."""
        with self._directory(path) as fd:
            yield fd

    def populated(self, path: str) -> bool:
        """Whether a live process is in the cgroup or below it (cgroup.events, populated)."""
        return "populated 1" in (self.read(path, "cgroup.events") or "")

    def kill(self, path: str) -> None:
        """Send SIGKILL to all processes in the cgroup and below it, new forks included (cgroup.kill, Linux 5.14).

        The kernel sends the signal to first threads only, and to a first thread that has ended it does nothing
        (kernel/cgroup/cgroup.c, __cgroup_kill). So a process whose first thread has ended is killed by its pid. The
        cgroup is frozen meanwhile, so that no process forks.
        """
        self.write(path, "cgroup.kill", "1")
        if not any(procfs.without_leader(self.threads(path))):
            return
        before = self.read(path, "cgroup.freeze") or "0"
        self.write(path, "cgroup.freeze", "1")
        try:
            self._wait_frozen(path)
            for pid in procfs.without_leader(self.threads(path)):
                self._kill_one(path, pid)
            self.write(path, "cgroup.kill", "1")
        finally:
            self.write(path, "cgroup.freeze", before)

    def _wait_frozen(self, path: str) -> None:
        """FREEZE_SECONDS at most: a process that sleeps in the kernel (state D) does not freeze."""
        end = time.monotonic() + FREEZE_SECONDS
        while "frozen 1" not in (self.read(path, "cgroup.events") or "") and time.monotonic() < end:
            time.sleep(0.002)

    def _kill_one(self, path: str, pid: int) -> None:
        """Only if the process is still in `path` or below it: the pid may belong to another process by now."""
        try:
            pinned = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            found = procfs.identity(pid)
            where = self.path_of(procfs.cgroup(found.thread) or "") if found else ""
            if where == path or where.startswith(f"{path}/" if path else "users/"):
                signal.pidfd_send_signal(pinned, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            os.close(pinned)

    def _at(self, path: str) -> tuple[int, str]:
        return (self._mount, path[1:]) if path.startswith("/") else (self._root, path)

    @contextmanager
    def _directory(self, path: str) -> Iterator[int]:
        base, relative = self._at(path)
        fd = os.open(relative or ".", _DIRECTORY, dir_fd=base)
        try:
            yield fd
        finally:
            os.close(fd)


def enter(directory: str) -> None:
    """Move this process into the cgroup with this absolute path: for a child, which has closed the tree's
    descriptors. OSError: what the kernel answers."""
    fd = os.open(f"{directory}/{PROCS}", _WRITE)
    try:
        os.write(fd, b"0")
    finally:
        os.close(fd)


def _texts(directory: int, names: tuple[str, ...]) -> tuple[tuple[str, ...], list[bytes]]:
    """Names and texts of those files `names` that the cgroup has. Closes `directory`."""
    # A reconcile with nothing to do spends most of its time here, at some fifteen files a cgroup, so there are few
    # system calls: names are looked up in an open directory, not from the root; all files are open before the first is
    # read, so that one close_range(2) closes them; what is read is short enough for Python's own arenas.
    open_, read, opened = os.open, os.read, [directory]
    append = opened.append
    try:
        for name in names:
            append(open_(name, _READ, dir_fd=directory))
        files = opened[1:]
        texts = [read(fd, _SHORT) for fd in files]
        if len(b"".join(texts)) >= _SHORT:  # perhaps one of them alone
            texts = [text + _rest(fd) if len(text) == _SHORT else text for text, fd in zip(texts, files, strict=True)]
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        found = _one_by_one(directory, names)
        return tuple(found), list(found.values())
    finally:
        _close(opened)
    return names, texts


def _one_by_one(directory: int, names: tuple[str, ...]) -> dict[str, bytes]:
    texts: dict[str, bytes] = {}
    for name in names:
        try:
            fd = os.open(name, _READ, dir_fd=directory)
        except FileNotFoundError:
            continue
        try:
            texts[name] = _rest(fd)
        except OSError as error:
            if error.errno not in _NOT_THERE:
                raise
        finally:
            os.close(fd)
    return texts


_NOT_THERE = (errno.ENOENT, errno.ENODEV)  # ENODEV: removed between open and read


def _close(opened: list[int]) -> None:
    """By one system call when the numbers have no gap, which is usual: open(2) gives the lowest free number."""
    if opened[-1] - opened[0] == len(opened) - 1:
        os.closerange(opened[0], opened[-1] + 1)
    else:
        for fd in opened:
            os.close(fd)


def _line(text: bytes) -> str:
    return text.decode().removesuffix("\n")


def _rest(fd: int) -> bytes:
    """Read to the end: one read(2) of a list gives a page at most, whatever size is asked for (fs/seq_file.c)."""
    text = b""
    while chunk := os.read(fd, 65536):
        text += chunk
    return text
