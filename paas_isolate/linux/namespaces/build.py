"""One view: made from a copy of the host's mounts by a process that has just entered that copy (unshare(2))."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from typing import NamedTuple

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.location import TreeLocation
from paas_isolate.linux.namespaces import syscalls, trash
from paas_isolate.linux.namespaces.registry import NO_FILE, NOTHING, ViewRecord
from paas_isolate.linux.quota import devices
from paas_isolate.linux.system import mounts
from paas_isolate.model import tree
from paas_isolate.model.view import View

PROC = "hidepid=invisible"
"""An option of each mount by itself since Linux 5.8 (Documentation/filesystems/proc.rst)."""

_OWN_TMP = {"/tmp": "tmp", "/var/tmp": "var-tmp"}
_SHM = "/dev/shm"
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40
"""As many symbolic links as the kernel follows (path_resolution(7))."""


class ViewPaths(NamedTuple):
    """`directory` is RUN/views; `location` tells where the cgroup tree is."""

    directory: str
    location: TreeLocation

    @property
    def doors(self) -> str:
        return f"{os.path.dirname(self.directory)}/doors"

    def leaf(self, name: str) -> str:
        return f"{self.location.root}/{tree.account(name)}"


def ready(view: View) -> None:
    """On the host: make the directories of the private /tmp, which outlive the view. Their owner tells whose they are;
    the owner cannot reach them on the host, for the directory above is root's alone. OSError."""
    if view.tmp:
        above = os.path.dirname(view.tmp)
        os.makedirs(above, 0o700, exist_ok=True)
        trash.set_aside_of_another(view.tmp, view.owner)
        for directory, mode in ((view.tmp, 0o700), *((f"{view.tmp}/{name}", 0o1777) for name in _OWN_TMP.values())):
            with suppress(FileExistsError):
                os.mkdir(directory, mode)
                os.chmod(directory, mode)
        os.chown(view.tmp, view.owner, -1, follow_symlinks=False)


def build(name: str, view: View, paths: ViewPaths) -> ViewRecord:
    """In the copy of the host's mounts: hide and mount what the view says. The record has what lies at each path
    afterwards. OSError where a system call fails."""
    # a process that becomes another customer here (su) must find no door: the module looks for one on the host then
    hidden = dict(_hide((*view.hide, paths.doors), paths.directory))
    syscalls.unmount(paths.directory)
    leaf = paths.leaf(name)
    shown = syscalls.file_id(leaf) if view.processes else None
    with ExitStack() as undo:
        points = list(_private(view, leaf, paths, partial(_opened, undo)))
    marks = {path: file for path in (*hidden.values(), *points) if (file := syscalls.file_id(path))}
    missing = tuple(path for path in view.hide if path not in hidden)
    return ViewRecord(view, os.stat("/proc/self/ns/mnt").st_ino, marks, missing, shown)


def _opened(undo: ExitStack, directory: str) -> str:
    """A path of the directory that still leads to it when a mount covers its own path; until `undo`."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    undo.callback(os.close, handle)
    return f"/proc/self/fd/{handle}"


def _private(view: View, leaf: str, paths: ViewPaths, opened: Callable[[str], str]) -> Iterator[str]:
    """Mount what is the account's own; the path of each mount."""
    leaf_source = opened(leaf) if view.processes else ""
    own = {point: opened(f"{view.tmp}/{name}") for point, name in _OWN_TMP.items()} if view.tmp else {}
    if view.processes:
        syscalls.mount("proc", "/proc", "proc", syscalls.SAFE | syscalls.NOEXEC, PROC)
        _only_own_cgroup(paths.location.mount, leaf, leaf_source)
        yield from ("/proc", leaf)
    for point, source in own.items():
        if os.path.isdir(point):
            syscalls.bind(source, point, syscalls.SAFE)
            yield os.path.realpath(point)
    if view.shm:
        syscalls.mount("shm", _SHM, "tmpfs", syscalls.SAFE, "mode=1777")
        yield _SHM


def _only_own_cgroup(mount: str, leaf: str, leaf_source: str) -> None:
    """A cgroup tree with nothing in it but the account's cgroup, at its usual path: /proc/self/cgroup sends programs
    there for their limits."""
    syscalls.mount("cgroups", mount, "tmpfs", syscalls.SAFE | syscalls.NOEXEC, "mode=0755,size=32k,nr_inodes=64")
    os.makedirs(leaf, 0o755)
    syscalls.bind(leaf_source, leaf, syscalls.SAFE | syscalls.NOEXEC)
    syscalls.mount(
        "", mount, flags=syscalls.REMOUNT | syscalls.BIND | syscalls.RDONLY | syscalls.SAFE | syscalls.NOEXEC
    )


def _hide(paths: tuple[str, ...], directory: str) -> Iterator[tuple[str, str]]:
    """Hide each path that exists; the path with the real path that it leads to. What lies below a hidden directory is
    hidden with it, so the shorter paths come first."""
    for path in sorted(paths, key=lambda path: path.count("/")):
        if _waits(path):
            continue
        with suppress(FileNotFoundError), _reached(path) as handle:
            if handle is None:
                continue
            by_handle = f"/proc/self/fd/{handle}"
            real = os.readlink(by_handle)
            syscalls.bind(f"{directory}/{NOTHING if stat.S_ISDIR(os.fstat(handle).st_mode) else NO_FILE}", by_handle)
            yield path, real


@contextmanager
def _reached(path: str) -> Iterator[int | None]:
    """A handle (O_PATH) of the file that a path leads to; None where there is none, or where a link on the way is not
    root's: its owner could point it to a file that set-uid programs trust, such as /etc/pam.d."""
    try:
        handle = _walk(path)
    except OSError:
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _walk(path: str) -> int:
    names, links = _reversed_names(path), 0
    here = os.open("/", _HANDLE | os.O_DIRECTORY)
    try:
        while names:
            following = os.open(names.pop(), _HANDLE, dir_fd=here)
            status = os.fstat(following)
            if not stat.S_ISLNK(status.st_mode):
                here, following = following, here
            else:
                target = os.readlink("", dir_fd=following)
                links += 1
                if status.st_uid or links > _MOST_LINKS:
                    os.close(following)
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                names += _reversed_names(target)
                if target.startswith("/"):
                    os.close(here)
                    here = os.open("/", _HANDLE | os.O_DIRECTORY)
            os.close(following)
    except OSError:
        os.close(here)
        raise
    return here


def _reversed_names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def whole(record: ViewRecord) -> bool:
    """Called in the view: whether everything that was mounted is still there."""
    return all(_is_covered(path) or syscalls.file_id(path) == file for path, file in record.marks.items())


def _is_covered(path: str) -> bool:
    """Whether a customer has mounted a file system of their own over a directory of the path. It may never answer, and
    what lies below it counts as unchanged. The mount table of the view is read only where somebody else than root could
    have mounted there."""
    if _devices().is_laid_by_root(path):
        return False
    return devices.is_customers(mounts.MountTable(mounts.mounts()).of(path))


def fits(name: str, record: ViewRecord, paths: ViewPaths) -> bool:
    """Called on the host: whether the view would be made the same today."""
    for path in record.missing:
        if _waits(path):
            continue
        with _reached(path) as handle:
            if handle is not None:
                return False
    return record.shown is None or record.shown == syscalls.file_id(paths.leaf(name))


def _waits(path: str) -> bool:
    """Whether a customer's program has to answer for the path (FUSE), and may never: the path counts as missing."""
    try:
        return devices.is_customers(_table().of(_devices().real(path)))
    except HostError:  # too many links: nobody follows them
        return False


@cache
def _devices() -> devices.BlockDevices:
    """Knows which directories only root writes to. Kept for the child's life: they are the same for all views."""
    return devices.BlockDevices()


@cache
def _table() -> mounts.MountTable:
    """The host's mounts when they were first asked for. Kept for the life of the child that works on all views."""
    return mounts.MountTable(mounts.mounts())
