"""Reads many small files of cgroups for one look at all of them. Nothing stays open, and nothing is remembered."""

import os
from collections.abc import Iterable

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_SIZE = 8192


def texts_of(above: int, name: str, files: Iterable[str]) -> dict[str, bytes] | None:
    """The text of each of `files` in the cgroup `name` of the directory `above`, by name. A file that is missing or
    cannot be read now is left out. None where there is no such cgroup."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=above)
    except OSError:
        return None
    texts: dict[str, bytes] = {}
    try:
        for file in files:
            if (text := text_of(file, directory)) is not None:
                texts[file] = text
    finally:
        os.close(directory)
    return texts


def text_of(path: str, directory: int | None = None) -> bytes | None:
    """The text of a file, whose path may begin at a directory. None where it is missing or cannot be read now."""
    try:
        opened = os.open(path, _READ, dir_fd=directory)
    except OSError:
        return None
    try:
        return os.read(opened, _SIZE)
    except OSError:  # it is being removed, or has no such counter now (EOPNOTSUPP)
        return None
    finally:
        os.close(opened)


def children_of(above: int, name: str) -> list[str]:
    """The names of the cgroups directly below, in order; [] where it is gone."""
    try:
        directory = os.open(name, _DIRECTORY, dir_fd=above)
    except OSError:
        return []
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
    finally:
        os.close(directory)
