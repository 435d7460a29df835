"""The keeper: a mount namespace in which the handles of all others are, so that the host's mount table has none.

`/NAME` is a link to `/handles/INODE`, the handle of an account's view: replaced in one step for whoever is just coming
in. `/records/NAME` says what was made.
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
"""In RUN/views: what is mounted over what nobody is to see."""

_FORMAT = "view 2"


class ViewRecord(NamedTuple):
    """`marks` tell what lay at each mounted path when the view was made, `missing` what was to be hidden and was not
    there, `leaf` the account's cgroup that it shows."""

    view: View
    namespace: int
    marks: dict[str, FileId]
    missing: tuple[str, ...]
    shown: FileId | None


def create(directory: str) -> None:
    """Make the keeper, where there is none."""
    os.makedirs(directory, 0o700, exist_ok=True)
    if os.stat(directory).st_dev == os.stat(f"{directory}/..").st_dev:
        syscalls.mount("paas-isolate", directory, "tmpfs", syscalls.SAFE | syscalls.NOEXEC, "mode=0700,size=64k")
        # the handle of a mount namespace may not be where it would be handed on (mount_namespaces(7))
        syscalls.mount("", directory, flags=syscalls.PRIVATE)
    os.makedirs(f"{directory}/{NOTHING}", 0, exist_ok=True)
    for file, mode in ((NO_FILE, 0), (HANDLE, 0o600)):
        os.close(os.open(f"{directory}/{file}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode))
    on_some_cpu(lambda: _lay(directory))


def on_some_cpu(work: Callable[[], None]) -> int:
    """A namespace keeps the handle of a younger one only (mount_namespaces(7)). Linux 6.18 tells that by numbers which
    each CPU takes from a store of its own (gen_cookie_next): the CPU that the older one was made on has a higher one,
    and any other may not. The CPU that would do, on which the caller is then; OSError where none would."""
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


def _lay(directory: str) -> None:
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        _hollow(directory, ready[1], go)
    os.close(ready[1])
    with open(ready[0], "rb") as said:
        wrong = said.read(1) != b"y"
    try:
        if not wrong:
            syscalls.bind(f"/proc/{child}/ns/mnt", f"{directory}/{HANDLE}")
    finally:
        os.close(go[0])
        os.close(go[1])
        os.waitpid(child, 0)
    if wrong:
        raise OSError(0, "the keeper of the views cannot be made", directory)


def _hollow(directory: str, ready: int, go: tuple[int, int]) -> None:
    """In a child, in whose namespace no mount of the host is left: it would hold disks that are to be taken out."""
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
        os.read(go[0], 1)  # until its handle is kept
    finally:
        os._exit(0)


def destroy(directory: str) -> None:
    """With all that is in it. What is gone already is fine."""
    for path in (f"{directory}/{HANDLE}", directory):
        with suppress(OSError):
            syscalls.unmount(path)
    with suppress(OSError):
        os.rmdir(directory)


def register(name: str, handle: int, record: ViewRecord) -> None:
    """Done by who is in the keeper: from now on the name leads to this namespace. The one before ends with its last
    process."""
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
    before = _linked(name)
    for path in (f"/{name}", f"/records/{name}"):
        with suppress(FileNotFoundError):
            os.unlink(path)
    if before:
        _drop(before)


def prune() -> None:
    """Handles that no name leads to: of a run that was killed between the two."""
    linked = {_linked(name) for name in names()}
    for handle in os.listdir("/handles"):
        if int(handle) not in linked:
            _drop(int(handle))


def names() -> list[str]:
    return [name for name in os.listdir("/") if os.path.islink(f"/{name}") and name[0] != "."]


def records() -> Iterator[tuple[str, ViewRecord | None]]:
    """What was made; None where that cannot be told."""
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
    marks = {path: tuple(found) for path, found in record.marks.items()}
    shown = tuple(record.shown) if record.shown else None
    return checked.dumps(_FORMAT, (tuple(record.view), record.namespace, marks, record.missing, shown))


def loaded(data: bytes) -> ViewRecord | None:
    """What `dumped` was given; None where the data are damaged or of another version."""
    try:
        view, namespace, marks, missing, shown = checked.loads(_FORMAT, data)
        known = {path: FileId(*found) for path, found in marks.items()}
        return ViewRecord(View(*view), namespace, known, missing, FileId(*shown) if shown else None)
    except (ValueError, TypeError):
        return None


def _linked(name: str) -> int:
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
