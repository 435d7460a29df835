"""One view, from the host's: done by who has just left the host's mounts for a copy of them."""

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
"""For each mount its own since Linux 5.8 (Documentation/filesystems/proc.rst)."""

_OWN_TMP = {"/tmp": "tmp", "/var/tmp": "var-tmp"}
_SHM = "/dev/shm"
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


class ViewPaths(NamedTuple):
    """`directory` is RUN/views; `location` where the tree is."""

    directory: str
    location: TreeLocation

    @property
    def doors(self) -> str:
        return f"{os.path.dirname(self.directory)}/doors"

    def leaf(self, name: str) -> str:
        return f"{self.location.root}/{tree.account(name)}"


def ready(view: View) -> None:
    """On the host: directories that outlive the view. They tell by their owner whose they are, who cannot reach them
    there: what is above is root's."""
    if view.tmp:
        above = os.path.dirname(view.tmp)
        os.makedirs(above, 0o700, exist_ok=True)
        trash.set_aside_of_another(view.tmp, view.owner)
        for directory, mode in ((view.tmp, 0o700), *((f"{view.tmp}/{own}", 0o1777) for own in _OWN_TMP.values())):
            with suppress(FileExistsError):
                os.mkdir(directory, mode)
                os.chmod(directory, mode)
        os.chown(view.tmp, view.owner, -1, follow_symlinks=False)


def build(name: str, view: View, ground: ViewPaths) -> ViewRecord:
    """In the copy. What stands at each path afterwards is what the record says."""
    # who becomes another customer here (su) shall find no door, and look for one on the host
    hidden = dict(_hide((*view.hide, ground.doors), ground.directory))
    syscalls.unmount(ground.directory)
    leaf = ground.leaf(name)
    shown = syscalls.file_id(leaf) if view.processes else None
    with ExitStack() as undo:
        points = list(_private(view, leaf, ground, partial(_opened, undo)))
    marks = {path: found for path in (*hidden.values(), *points) if (found := syscalls.file_id(path))}
    missing = tuple(path for path in view.hide if path not in hidden)
    return ViewRecord(view, os.stat("/proc/self/ns/mnt").st_ino, marks, missing, shown)


def _opened(undo: ExitStack, directory: str) -> str:
    """By another path, for what is mounted may cover its own."""
    handle = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    undo.callback(os.close, handle)
    return f"/proc/self/fd/{handle}"


def _private(view: View, leaf: str, ground: ViewPaths, opened: Callable[[str], str]) -> Iterator[str]:
    """Mounts what is the account's own; where that is."""
    inside = opened(leaf) if view.processes else ""
    own = {point: opened(f"{view.tmp}/{name}") for point, name in _OWN_TMP.items()} if view.tmp else {}
    if view.processes:
        syscalls.mount("proc", "/proc", "proc", syscalls.SAFE | syscalls.NOEXEC, PROC)
        _only_its_cgroup(ground.location.mount, leaf, inside)
        yield from ("/proc", leaf)
    for point, source in own.items():
        if os.path.isdir(point):
            syscalls.bind(source, point, syscalls.SAFE)
            yield os.path.realpath(point)
    if view.shm:
        syscalls.mount("shm", _SHM, "tmpfs", syscalls.SAFE, "mode=1777")
        yield _SHM


def _only_its_cgroup(mount: str, leaf: str, inside: str) -> None:
    """A tree with nothing in it but the way to the account's cgroup, at its own path: programs look there for their
    limits, as /proc/self/cgroup tells them."""
    syscalls.mount("cgroups", mount, "tmpfs", syscalls.SAFE | syscalls.NOEXEC, "mode=0755,size=32k,nr_inodes=64")
    os.makedirs(leaf, 0o755)
    syscalls.bind(inside, leaf, syscalls.SAFE | syscalls.NOEXEC)
    syscalls.mount(
        "", mount, flags=syscalls.REMOUNT | syscalls.BIND | syscalls.RDONLY | syscalls.SAFE | syscalls.NOEXEC
    )


def _hide(paths: tuple[str, ...], directory: str) -> Iterator[tuple[str, str]]:
    """Those that were there, and where they really are. What lies below another that is hidden is hidden with it."""
    for path in sorted(paths, key=lambda it: it.count("/")):
        if _waits(path):
            continue
        with suppress(FileNotFoundError), _reached(path) as handle:
            if handle is None:
                continue
            there = f"/proc/self/fd/{handle}"
            found = os.readlink(there)
            syscalls.bind(f"{directory}/{NOTHING if stat.S_ISDIR(os.fstat(handle).st_mode) else NO_FILE}", there)
            yield path, found


@contextmanager
def _reached(path: str) -> Iterator[int | None]:
    """A handle of what a path leads to; None where there is nothing, or where a link on the way is not root's: its
    owner could turn it to what set-uid programs trust, such as /etc/pam.d."""
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
            there = os.open(names.pop(), _HANDLE, dir_fd=here)
            found = os.fstat(there)
            if not stat.S_ISLNK(found.st_mode):
                here, there = there, here
            else:
                target = os.readlink("", dir_fd=there)
                links += 1
                if found.st_uid or links > _MOST_LINKS:
                    os.close(there)
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                names += _reversed_names(target)
                if target.startswith("/"):
                    os.close(here)
                    here = os.open("/", _HANDLE | os.O_DIRECTORY)
            os.close(there)
    except OSError:
        os.close(here)
        raise
    return here


def _reversed_names(path: str) -> list[str]:
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def whole(record: ViewRecord) -> bool:
    """Whether all that was mounted is there still, by who is in the view."""
    return all(_is_covered(path) or syscalls.file_id(path) == found for path, found in record.marks.items())


def _is_covered(path: str) -> bool:
    """Whether a customer has mounted a file system of their own over the way to it, which may never answer: what is
    below stays as it is. The table of a view is read only where somebody else than root could have done that."""
    if _ways().is_laid_by_root(path):
        return False
    return devices.is_customers(mounts.MountTable(mounts.mounts()).of(path))


def fits(name: str, record: ViewRecord, ground: ViewPaths) -> bool:
    """Whether it would be made the same today, by who is on the host."""
    for path in record.missing:
        if _waits(path):
            continue
        with _reached(path) as handle:
            if handle is not None:
                return False
    return record.shown is None or record.shown == syscalls.file_id(ground.leaf(name))


def _waits(path: str) -> bool:
    """Whether it lies where a customer's program has to answer, and may never: then it counts as not there."""
    try:
        return devices.is_customers(_table().of(_ways().real(path)))
    except HostError:  # too many links: nobody follows them
        return False


@cache
def _ways() -> devices.BlockDevices:
    """What root has laid of the ways to all that is hidden: the same for all views."""
    return devices.BlockDevices()


@cache
def _table() -> mounts.MountTable:
    """Of the host, when the child that looks after all views of a run began."""
    return mounts.MountTable(mounts.mounts())
