"""Replacing a file in one step: a reader sees the old content or the new, never a part. See rename(2)."""

import os
from contextlib import suppress
from enum import Enum


class Durability(Enum):
    """What is on the disk when `replace_file` returns, and so what is there after a power cut (fsync(2))."""

    NONE = "nothing is forced: the old content, the new, or an empty file"
    CONTENT = "the new content, not its name: the old file or the new, each whole"
    NAME = "content and name: the new file"


def replace_file(
    path: str,
    data: bytes,
    durability: Durability,
    *,
    mode: int = 0o600,
    makes_directory: bool = False,
    keeps_attributes: bool = False,
) -> None:
    """Write `data` under a temporary name beside `path`, then rename.

    The new file has `mode`, whatever the umask. With `keeps_attributes` it has owner, mode and extended attributes of
    the file that it replaces, where there is one. With `makes_directory` a missing directory is made, for root alone
    (0700). Raises OSError when the file cannot be written; `path` is then as it was, and the temporary file is removed.

    The temporary name begins with a dot and is the same every time: readers pass over it, and what a killed run has
    left is replaced by the next. So only one process may write a path at a time (writers hold the lock).
    """
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.paas-isolate-new")
    descriptor = _created(temporary, mode, directory if makes_directory else "")
    try:
        with open(descriptor, "wb", buffering=0) as file:
            if keeps_attributes:
                _copy_attributes(path, temporary)
            _write_all(descriptor, data)
            if durability is not Durability.NONE:
                os.fsync(file.fileno())
        os.rename(temporary, path)
        if durability is Durability.NAME:
            _sync(directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _created(temporary: str, mode: int, directory: str) -> int:
    """A descriptor of the new file. `directory` is made when it is missing; '' makes none."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(temporary, flags, mode)
    except FileExistsError:  # of a killed run; O_EXCL, because its mode may let everybody read
        os.unlink(temporary)
        descriptor = os.open(temporary, flags, mode)
    except FileNotFoundError:
        if not directory:
            raise
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor = os.open(temporary, flags, mode)
    if mode & 0o077:  # of these bits the umask may have taken some
        os.fchmod(descriptor, mode)
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _copy_attributes(path: str, temporary: str) -> None:
    import shutil  # only the few callers that ask for it pay for it

    if os.path.exists(path):
        shutil.copystat(path, temporary)
        owner = os.stat(path)
        os.chown(temporary, owner.st_uid, owner.st_gid)


def _sync(directory: str) -> None:
    descriptor = os.open(directory or os.curdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
