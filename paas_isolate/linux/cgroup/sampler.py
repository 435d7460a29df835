"""Reads the counters of accounts and leaves, at a cost in proportion to those that do something.

The test for idleness is one read: cpu.stat of the account is as it was, so nothing ran in any of its leaves. Files of
active cgroups stay open, up to a number: a read of an open file takes a third of the time, but each costs the kernel
some 6 kB. An idle account is read nevertheless once in LOOK_ANYWAY samples: others may take its memory, and the time in
the freezer goes on.
"""

import errno
import os
import resource
from collections.abc import Callable, Iterable, Mapping

from paas_isolate.metering.reading import FAST, FROZEN_NOW, FROZEN_TIME, SLOW, Counters, Reading, keyed, parse

OPEN_FILES = 4096
"""Descriptors that one sampler keeps open, and half of those that the process may have (getrlimit(2)) at the most."""
LOOK_ANYWAY = 60
SLOW_LEAVES = 5
"""The files of SLOW of a leaf are read in one of so many samples that read those of accounts."""
_SIZE = 8192
"""Bytes: memory.stat is the longest, with some 1,500."""
_CPU, *_OTHERS = FAST
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_GONE = (errno.ENOENT, errno.ENODEV)


class _Cgroup:
    """A cgroup that is sampled. `file` is its open cpu.stat, -1 while it is not open. `names` are the other files of
    FAST that it has, `others` their descriptors; () while none is open."""

    __slots__ = ("children", "cpu", "file", "inode", "links", "name", "names", "others", "path")

    def __init__(self, path: str, inode: int) -> None:
        self.path, self.inode = path, inode
        self.name = path.rpartition("/")[2]
        self.names: tuple[str, ...] = ()
        self.cpu = b""
        self.links = 0
        self.file = -1
        self.others: tuple[int, ...] = ()
        self.children: dict[str, _Cgroup] = {}

    @property
    def is_open(self) -> bool:
        """Whether all its files of FAST are open."""
        return self.file >= 0 and len(self.others) == len(self.names)


class Sampler:
    """Samples the accounts below `directory` (`.../users`). `device_of` returns the `major:minor` whose IO counts for
    an account, '' for none. `known` are counters by path, from before: a cgroup whose CPU time is still that did
    nothing. Without `leaves` only the accounts' own cgroups are read.

    OSError where the directory cannot be opened. Close it after use.
    """

    def __init__(
        self,
        directory: str,
        device_of: Callable[[str], str],
        known: Mapping[str, Counters],
        *,
        open_files: int = OPEN_FILES,
        leaves: bool = True,
    ) -> None:
        self._directory = directory
        self._users = os.open(directory, _DIRECTORY)
        self._inode = os.fstat(self._users).st_ino
        self._device_of, self._known, self._with_leaves = device_of, dict(known), leaves
        self._accounts: dict[str, _Cgroup] = {}
        self._links = -1
        self._turn = self._slow_turn = 0
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._room = min(open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._reserved = self._room // 2
        """Of the room, what is not for cpu.stat of accounts."""

    def close(self) -> None:
        for account in self._accounts.values():
            self._forget(account)
        self._accounts = {}
        os.close(self._users)

    def __enter__(self) -> "Sampler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sample(self, *, slow: bool) -> tuple[list[Reading], list[str]]:
        """The readings of those that did something since the last sample, and the paths of those that are gone. With
        `slow` the files of SLOW are read too. FileNotFoundError where the directory itself is gone or was made anew."""
        readings: list[Reading] = []
        gone: list[str] = []
        self._find_accounts(gone)
        self._turn += 1
        self._slow_turn += slow
        for number, account in enumerate(list(self._accounts.values())):
            try:
                cpu = self._cpu(account)
                anyway = not (number + self._turn) % LOOK_ANYWAY
                if cpu != account.cpu or anyway:
                    self._account(account, cpu, slow or anyway, anyway, readings, gone)
                elif account.others:
                    self._rest(account)
            except OSError as error:
                if error.errno in _GONE:  # else it is read at the next sample; its counters go on
                    self._drop(self._accounts, account, gone)
                    self._links = -1  # one of the same name may be there already
        return readings, gone

    def missing(self, inodes: Iterable[tuple[str, int]]) -> list[str]:
        """Those of these paths, each with its inode, that are gone or were made anew."""
        missing = []
        for path, inode in inodes:
            try:
                same = os.stat(path, dir_fd=self._users, follow_symlinks=False).st_ino == inode
            except (FileNotFoundError, NotADirectoryError):
                same = False
            if not same:
                missing.append(path)
        return missing

    def whole(self, path: str) -> list[Reading]:
        """All files of the cgroup `path` and of those below it, now: for the last reading before it is removed. []
        where it does not exist."""
        found: list[Reading] = []
        try:
            directory = os.open(path, _DIRECTORY, dir_fd=self._users)
        except FileNotFoundError:
            return found
        try:
            inode = os.fstat(directory).st_ino
            texts = _all(directory, (*FAST, *SLOW))
            found.append(Reading(path, inode, *parse(texts, self._device_of(path.partition("/")[0]))))
            names = _directories(directory) if "/" not in path else ()
        finally:
            os.close(directory)
        for name in names:
            found += self.whole(f"{path}/{name}")
        return found

    def _find_accounts(self, gone: list[str]) -> None:
        status = os.stat(self._directory)
        if status.st_ino != self._inode:
            raise FileNotFoundError(errno.ENOENT, "another directory has its place", self._directory)
        if status.st_nlink != self._links:
            self._find(self._users, "", self._accounts, gone)
            self._links = status.st_nlink

    def _find(self, directory: int, above: str, cgroups: dict[str, _Cgroup], gone: list[str]) -> None:
        """Add the cgroups that are new in a directory, and drop those that are gone."""
        names = set(_directories(directory))
        for name in cgroups.keys() - names:
            self._drop(cgroups, cgroups[name], gone)
        for name in names - cgroups.keys():
            try:
                inode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino
            except FileNotFoundError:
                continue
            cgroups[name] = _Cgroup(f"{above}{name}", inode)

    def _drop(self, cgroups: dict[str, _Cgroup], cgroup: _Cgroup, gone: list[str]) -> None:
        del cgroups[cgroup.name]
        for child in list(cgroup.children.values()):
            self._drop(cgroup.children, child, gone)
        self._close(cgroup)
        gone.append(cgroup.path)

    def _forget(self, cgroup: _Cgroup) -> None:
        self._close(cgroup)
        for child in cgroup.children.values():
            self._forget(child)

    def _rest(self, account: _Cgroup) -> None:
        """Close the files of an account that does nothing, but its cpu.stat."""
        self._close_others(account)
        for leaf in account.children.values():
            self._close(leaf)

    def _account(
        self, account: _Cgroup, cpu: bytes, slow: bool, anyway: bool, readings: list[Reading], gone: list[str]
    ) -> None:
        """An account that did something, and its leaves. With `anyway` they are read even where they did nothing."""
        if not account.cpu and self._is_known(account, cpu):
            account.cpu = cpu
            return
        status = os.stat(account.path, dir_fd=self._users, follow_symlinks=False)
        if status.st_ino != account.inode:
            raise FileNotFoundError(errno.ENOENT, account.path)
        everything = account, *account.children.values()
        if not slow and status.st_nlink == account.links and all(cgroup.is_open for cgroup in everything):
            self._read_into(account, cpu, -1, slow, readings)
            self._leaves(account, -1, slow, anyway, readings, gone)
            return
        directory = os.open(account.path, _DIRECTORY, dir_fd=self._users)
        try:
            self._read_into(account, cpu, directory, slow, readings)
            if self._with_leaves and status.st_nlink != account.links:
                self._find(directory, f"{account.path}/", account.children, gone)
                account.links = status.st_nlink
            self._leaves(account, directory, slow, anyway, readings, gone)
        finally:
            os.close(directory)

    def _leaves(
        self, account: _Cgroup, directory: int, slow: bool, anyway: bool, readings: list[Reading], gone: list[str]
    ) -> None:
        """The leaves of an account. `directory` may be -1 where all of them are open and `slow` is not set."""
        for leaf in list(account.children.values()):
            slow_leaf = anyway or (slow and not (leaf.inode + self._slow_turn) % SLOW_LEAVES)
            try:
                self._leaf(leaf, directory, slow_leaf, anyway, readings)
            except OSError as error:
                if error.errno in _GONE:
                    self._drop(account.children, leaf, gone)
                    account.links = -1

    def _leaf(self, leaf: _Cgroup, above: int, slow: bool, anyway: bool, readings: list[Reading]) -> None:
        if leaf.is_open and not slow:
            cpu = os.pread(leaf.file, _SIZE, 0)
            if cpu != leaf.cpu or anyway:
                self._read_into(leaf, cpu, -1, slow, readings)
            else:
                self._close(leaf)
            return
        directory = os.open(leaf.name, _DIRECTORY, dir_fd=above)
        try:
            if os.fstat(directory).st_ino != leaf.inode:
                raise FileNotFoundError(errno.ENOENT, leaf.path)
            cpu = _read(directory, _CPU) or b""
            if cpu == leaf.cpu and not anyway:
                self._close(leaf)
            elif not leaf.cpu and self._is_known(leaf, cpu):
                leaf.cpu = cpu
            else:
                self._read_into(leaf, cpu, directory, slow, readings)
        finally:
            os.close(directory)

    def _is_known(self, cgroup: _Cgroup, cpu: bytes) -> bool:
        """Whether a cgroup that this sampler has not read yet has used no CPU time since `known`."""
        before = self._known.pop(cgroup.path, None)
        if before is None or before.user is None:
            return False
        now = keyed(cpu)
        return (before.user, before.system) == (now.get("user_usec"), now.get("system_usec"))

    def _cpu(self, account: _Cgroup) -> bytes:
        if account.file >= 0:
            return os.pread(account.file, _SIZE, 0)
        file = os.open(f"{account.path}/{_CPU}", _READ, dir_fd=self._users)
        try:
            return os.read(file, _SIZE)
        finally:
            if account.cpu and self._room > self._reserved:
                account.file = file
                self._room -= 1
            else:
                os.close(file)

    def _read_into(self, cgroup: _Cgroup, cpu: bytes, directory: int, slow: bool, readings: list[Reading]) -> None:
        """Read the other files. `directory` may be -1 where those of FAST are open and `slow` is not set."""
        first = not cgroup.cpu
        cgroup.cpu = cpu
        texts = {_CPU: cpu}
        if slow or first:  # which files a cgroup has depends on the controllers of the one above, which may change
            there = _all(directory, (*_OTHERS, *SLOW))
            names = tuple(name for name in _OTHERS if name in there)
            if names != cgroup.names:
                self._close_others(cgroup)
                cgroup.names = self._names.setdefault(names, names)
            texts |= there
        elif cgroup.others:
            pread = os.pread
            for name, file in zip(cgroup.names, cgroup.others, strict=True):
                texts[name] = pread(file, _SIZE, 0)
        else:
            if cgroup.file < 0 or cgroup.names:
                self._open(cgroup, directory)
            for name in cgroup.names:
                if (text := _read(directory, name)) is not None:
                    texts[name] = text
        path = cgroup.path
        device = self._device_of(path.partition("/")[0]) if "io.stat" in texts else ""
        readings.append(Reading(path, cgroup.inode, *parse(texts, device)))

    def _open(self, cgroup: _Cgroup, directory: int) -> None:
        """Open the files of FAST: all, or none where there are no more descriptors."""
        names = cgroup.names if cgroup.file >= 0 else (_CPU, *cgroup.names)
        if self._room < len(names):
            return
        files: list[int] = []
        try:
            for name in names:
                files.append(os.open(name, _READ, dir_fd=directory))
        except OSError as error:
            _close_all(files)
            if error.errno == errno.ENODEV:
                raise
            return
        self._room -= len(files)
        if cgroup.file < 0:
            cgroup.file = files.pop(0)
        cgroup.others = tuple(files)

    def _close(self, cgroup: _Cgroup) -> None:
        self._close_others(cgroup)
        if cgroup.file >= 0:
            os.close(cgroup.file)
            cgroup.file = -1
            self._room += 1

    def _close_others(self, cgroup: _Cgroup) -> None:
        _close_all(cgroup.others)
        self._room += len(cgroup.others)
        cgroup.others = ()


def _close_all(files: Iterable[int]) -> None:
    for file in files:
        os.close(file)


def _directories(directory: int) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _all(directory: int, names: Iterable[str]) -> dict[str, bytes]:
    """The texts of those of these files that are there."""
    texts = {name: text for name in names if (text := _read(directory, name)) is not None}
    if FROZEN_TIME not in texts and (text := _read(directory, FROZEN_NOW)) is not None:
        texts[FROZEN_NOW] = text
    return texts


def _read(directory: int, name: str) -> bytes | None:
    """A file's text; None where this cgroup does not have it, or where it cannot be read now (EOPNOTSUPP)."""
    try:
        file = os.open(name, _READ, dir_fd=directory)
    except FileNotFoundError:
        return None
    try:
        return os.read(file, _SIZE)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise
        return None
    finally:
        os.close(file)
