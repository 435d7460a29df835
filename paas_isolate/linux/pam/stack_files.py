"""Reads, keeps and restores the files of a tool that makes PAM stacks."""

import os
from collections.abc import Iterable
from contextlib import suppress

from paas_isolate.linux.pam.profile import MODULE
from paas_isolate.replace_file import Durability, replace_file

CONFIG = "/etc/pam.d"

Files = dict[str, bytes | None]
"""Contents by path; None where there is no file."""


def keep(paths: Iterable[str]) -> Files:
    """The content of each file, for `put_back`. Directories are left out."""
    return {path: read(path) for path in sorted(set(paths)) if not os.path.isdir(path)}


def put_back(files: Files) -> None:
    """Restore the files that `keep` has read, byte for byte, each in one step."""
    for path, content in files.items():
        if content is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
        elif read(path) != content:
            write(path, content)


def read(path: str) -> bytes | None:
    """None where there is no file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def text(path: str) -> str:
    """'' where there is no file."""
    return (read(path) or b"").decode(errors="replace")


def with_module(paths: Iterable[str]) -> list[str]:
    """Those of the stacks that have a line of ours."""
    return [path for path in paths if MODULE in text(path)]


def write(path: str, content: bytes) -> None:
    """Readable for all. The content is on the disk before the name is: nobody can log in with an empty file."""
    replace_file(path, content, Durability.CONTENT, mode=0o644)
