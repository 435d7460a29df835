"""Writing state so that a reader sees the old content or the new, never a part, and nobody else sees any."""

import os
from contextlib import suppress

ODD = (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError)
"""What reading damaged state may raise: it is then as if it were not there."""


def keep(directory: str, name: str, data: bytes) -> None:
    """Mode 0600, by a temporary name. Without fsync: what a crash loses is made anew or was a copy."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    temporary = os.path.join(directory, f".{name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.rename(temporary, os.path.join(directory, name))
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
