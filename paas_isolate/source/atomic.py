"""Writing a file so that a reader sees the old content or the new, never a part."""

import os
from contextlib import suppress

ODD = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError)
"""What reading damaged state may raise: it is then as if it were not there."""


def replace_file(directory: str, name: str, data: bytes, *, mode: int = 0o600, durable: bool = False) -> None:
    """By a temporary name that no reader looks at, the same every time: what a killed run leaves, the next one
    takes away (writers hold the lock). Without `durable` a crash of the machine may lose it, which is right for
    what is made anew or was a copy."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    temporary = os.path.join(directory, f".{name}.new")
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.rename(temporary, os.path.join(directory, name))
        if durable:
            _sync(directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _sync(directory: str) -> None:
    """A name is the directory's: without this a power cut brings the old file back (fsync(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
