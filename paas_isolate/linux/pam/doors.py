"""The doors by which the PAM module and the launcher come in: symbolic links of a directory that is root's alone."""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from paas_isolate.model import tree
from paas_isolate.model.world import COMPLETE

_NO_DIRECTORY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

NO_DOOR = "something that is no door"


class DoorDirectory:
    """`directory` holds the links, `root` is the directory of the tree that they lead into."""

    def __init__(self, directory: str, root: str) -> None:
        self.directory = directory
        self._base = f"{root}/"

    def observe(self) -> dict[str, str]:
        """Every door with where it leads, in words of the tree. {} when the directory is gone."""
        return self.observe_door(self._names())

    def observe_door(self, names: Iterable[str]) -> dict[str, str]:
        """Those of these that are there, with where they lead."""
        found: dict[str, str] = {}
        for name in names:
            try:
                found[name] = os.readlink(f"{self.directory}/{name}").removeprefix(self._base)
            except FileNotFoundError:
                continue
            except OSError:
                found[name] = "" if name == COMPLETE else NO_DOOR
        return found

    def set(self, name: str, target: str) -> None:
        """Make or replace a door, in one step for whoever is just coming in."""
        to = target if tree.is_closed(target) or tree.is_view(target) else f"{self._base}{target}"
        self._in_place(lambda: self._link(to, name))

    def remove(self, name: str) -> None:
        _clear(f"{self.directory}/{name}")

    def complete(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._in_place(lambda: os.close(os.open(f"{self.directory}/{COMPLETE}", flags, 0o600)))

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.directory)
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                raise
            return []

    def _link(self, to: str, name: str) -> None:
        path = f"{self.directory}/{name}"
        try:
            os.symlink(to, path)
        except FileExistsError:
            # Not replace_file: this is a link, not a file, and several processes of a run may set doors at once.
            new = f"{self.directory}/.new{os.getpid()}"
            _clear(new)
            os.symlink(to, new)
            try:
                os.rename(new, path)
            except IsADirectoryError:
                os.rmdir(path)
                os.rename(new, path)

    def _in_place(self, work: Callable[[], None]) -> None:
        """Where there is no directory, work is done again in a new one: root alone has it, whatever lay there."""
        try:
            work()
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                raise
            with suppress(FileNotFoundError, IsADirectoryError):  # another process of this run was faster
                os.unlink(self.directory)
            os.makedirs(self.directory, 0o700, exist_ok=True)
            work()


def _clear(path: str) -> None:
    """Gone already is as good as removed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        os.rmdir(path)
