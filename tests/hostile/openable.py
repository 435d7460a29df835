"""What a stranger can open below some directories, a line each: list, read, write or connect, and the path."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress


def openable(path: str) -> Iterator[str]:
    mode = os.lstat(path).st_mode
    if stat.S_ISSOCK(mode):
        if os.access(path, os.W_OK):  # which is what connect(2) asks for
            yield f"connect {path}"
    elif stat.S_ISDIR(mode):
        with suppress(OSError):
            names = os.listdir(path)
            yield f"list {path}"
            for name in sorted(names):
                yield from openable(f"{path}/{name}")
        if os.access(path, os.W_OK):
            yield f"write {path}"
    elif stat.S_ISREG(mode):
        for how, flags in (("read", os.O_RDONLY), ("write", os.O_WRONLY)):
            with suppress(OSError):
                os.close(os.open(path, flags | os.O_NOFOLLOW))
                yield f"{how} {path}"


for directory in sys.argv[1:]:
    for line in openable(directory):
        sys.stdout.write(f"{line}\n")
