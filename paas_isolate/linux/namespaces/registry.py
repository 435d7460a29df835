"""The keeper: a mount namespace that holds the handles of all views, so that the host's mount table has none of them.

In it, `/NAME` is a link to `/handles/INODE`, the handle of an account's view. The link is replaced in one step, so that
a login finds the old view or the new one. `/records/NAME` says what was made.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from paas_isolate.linux.namespaces import syscalls
from paas_isolate.linux.namespaces.syscalls import FileId
from paas_isolate.linux.system import checked
from paas_isolate.model.view import View

HANDLE = "keeper"
NOTHING, NO_FILE = "nothing", "no-file"
"""In RUN/views: the empty directory and the empty file that are mounted over hidden paths."""

_FORMAT = "view 2"


class ViewRecord(NamedTuple):
    """`namespace` is the inode of the view's namespace. `marks` has what lay at each mounted path when the view was
    made, `missing` the paths that were to be hidden and did not exist, `shown` the account's cgroup that the view
    shows."""

    view: View
    namespace: int
    marks: dict[str, FileId]
    missing: tuple[str, ...]
    shown: FileId | None


def create(directory: str) -> None:
    """Make the keeper where there is none, below `directory` (RUN/views). OSError."""
    os.makedirs(directory, 0o700, exist_ok=True)
    if os.stat(directory).st_dev == os.stat(f"{directory}/..").st_dev:
        syscalls.mount("paas-isolate", directory, "tmpfs", syscalls.SAFE | syscalls.NOEXEC, "mode=0700,size=64k")
        # the handle of a mount namespace cannot be mounted where mounts propagate (mount_namespaces(7))
        syscalls.mount("", directory, flags=syscalls.PRIVATE)
    os.makedirs(f"{directory}/{NOTHING}", 0, exist_ok=True)
    for file, mode in ((NO_FILE, 0), (HANDLE, 0o600)):
        os.close(os.open(f"{directory}/{file}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode))
    on_some_cpu(lambda: _make_keeper(directory))


def on_some_cpu(work: Callable[[], None]) -> int:
    """Do the work on a CPU where it succeeds; that CPU, on which the caller runs then. OSError where no CPU will do.

    A namespace can hold only the handle of a younger one (mount_namespaces(7)). Linux 6.18 compares numbers that each
    CPU takes from a range of its own (gen_cookie_next): on the CPU that made the older namespace the next number is
    higher; on any other it may be lower, and the mount fails with EINVAL."""
    cpus = sorted(os.sched_getaffinity(0))
    for cpu in cpus:
        os.sched_setaffinity(0, {cpu})
        try:
            work()
        except OSError as error:
            if error.errno != errno.EINVAL or cpu == cpus[-1]:
                raise
        else:
            return cpu
    raise AssertionError("a process has a CPU")


def _make_keeper(directory: str) -> None:
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        _enter_empty_namespace(directory, ready[1], go)
    os.close(ready[1])
    with open(ready[0], "rb") as answer:
        wrong = answer.read(1) != b"y"
    try:
        if not wrong:
            syscalls.bind(f"/proc/{child}/ns/mnt", f"{directory}/{HANDLE}")
    finally:
        os.close(go[0])
        os.close(go[1])
        os.waitpid(child, 0)
    if wrong:
        raise OSError(0, "the keeper of the views cannot be made", directory)


def _enter_empty_namespace(directory: str, ready: int, go: tuple[int, int]) -> None:
    """The child: never returns. No mount of the host is left in its namespace, for that would keep disks busy that are
    to be unmounted."""
    try:
        os.close(go[1])
        syscalls.unshare()
        syscalls.mount("paas-isolate", directory, "tmpfs", syscalls.SAFE | syscalls.NOEXEC, "mode=0700")
        os.chdir(directory)
        for name in ("proc", "host", "handles", "records"):
            os.mkdir(name, 0o700)
        syscalls.become_root(".", "host")
        syscalls.unmount("/host")
        os.rmdir("/host")
        syscalls.mount("proc", "/proc", "proc", syscalls.SAFE | syscalls.NOEXEC)
        os.write(ready, b"y")
        os.close(ready)
        os.read(go[0], 1)  # until the parent has mounted the handle
    finally:
        os._exit(0)


def destroy(directory: str) -> None:
    """Remove the keeper with all views in it. Parts that are gone already are no error."""
    for path in (f"{directory}/{HANDLE}", directory):
        with suppress(OSError):
            syscalls.unmount(path)
    with suppress(OSError):
        os.rmdir(directory)


def register(name: str, handle: int, record: ViewRecord) -> None:
    """Called in the keeper: from now on the name leads to the namespace of this handle. The one before ends with its
    last process. OSError."""
    before = _linked(name)
    new = f"/handles/{record.namespace}"
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    syscalls.bind(f"/proc/self/fd/{handle}", new)
    with open(f"/records/{name}", "wb") as file:
        file.write(dumped(record))
    with suppress(FileNotFoundError):
        os.unlink(f"/.{name}")
    os.symlink(f"handles/{record.namespace}", f"/.{name}")
    os.rename(f"/.{name}", f"/{name}")
    if before and before != record.namespace:
        _drop(before)


def unregister(name: str) -> None:
    """Called in the keeper: forget the view of this name. One that is missing is no error."""
    before = _linked(name)
    for path in (f"/{name}", f"/records/{name}"):
        with suppress(FileNotFoundError):
            os.unlink(path)
    if before:
        _drop(before)


def prune() -> None:
    """Called in the keeper: remove handles that no name leads to, which a killed run has left."""
    linked = {_linked(name) for name in names()}
    for handle in os.listdir("/handles"):
        if int(handle) not in linked:
            _drop(int(handle))


def names() -> list[str]:
    """Called in the keeper: the account directories that have a view."""
    return [name for name in os.listdir("/") if os.path.islink(f"/{name}") and name[0] != "."]


def records() -> Iterator[tuple[str, ViewRecord | None]]:
    """Called in the keeper: each name with its record, None where the record cannot be read or is of another view."""
    for name in names():
        yield name, _record(name)


def _record(name: str) -> ViewRecord | None:
    try:
        with open(f"/records/{name}", "rb") as file:
            record = loaded(file.read())
    except OSError:
        return None
    return record if record and record.namespace == _linked(name) else None


def dumped(record: ViewRecord) -> bytes:
    """The record as the file of the view has it."""
    marks = {path: tuple(file) for path, file in record.marks.items()}
    shown = tuple(record.shown) if record.shown else None
    return checked.dumps(_FORMAT, (tuple(record.view), record.namespace, marks, record.missing, shown))


def loaded(data: bytes) -> ViewRecord | None:
    """What `dumped` was given; None where the data are damaged or of another version."""
    try:
        view, namespace, marks, missing, shown = checked.loads(_FORMAT, data)
        files = {path: FileId(*file) for path, file in marks.items()}
        return ViewRecord(View(*view), namespace, files, missing, FileId(*shown) if shown else None)
    except (ValueError, TypeError):
        return None


def _linked(name: str) -> int:
    """The inode of the namespace that a name leads to; 0 where it leads to none."""
    try:
        return int(os.readlink(f"/{name}").rpartition("/")[2])
    except (OSError, ValueError):
        return 0


def _drop(handle: int) -> None:
    path = f"/handles/{handle}"
    with suppress(OSError):
        syscalls.unmount(path)
    with suppress(FileNotFoundError):
        os.unlink(path)
