"""The doors: symbolic links that tell the PAM module and paas-enter the leaf of a user's login. The directory is
root's alone."""

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from paas_isolate.model import tree
from paas_isolate.model.world import COMPLETE

_NO_DIRECTORY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

NO_DOOR = "something that is no door"


class DoorDirectory:
    """`directory` has the links; `root` is the tree's directory, which they point into."""

    def __init__(self, directory: str, root: str) -> None:
        self.directory = directory
        self._base = f"{root}/"

    def observe(self) -> dict[str, str]:
        """The target of every door, by the door's name; a target in the tree is a path of `model.tree`. {} when the
        directory does not exist."""
        return self.observe_door(self._names())

    def observe_door(self, names: Iterable[str]) -> dict[str, str]:
        """The targets of those of `names` that exist: '' for COMPLETE, NO_DOOR for what is no link."""
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
        """Make or replace a door in one step: a login at this moment meets the old target or the new one. OSError
        when it cannot be made."""
        to = target if tree.is_closed(target) or tree.is_view(target) else f"{self._base}{target}"
        self._in_directory(lambda: self._link(to, name))

    def remove(self, name: str) -> None:
        """Nothing happens when there is no such door."""
        _clear(f"{self.directory}/{name}")

    def complete(self) -> None:
        """Make the file COMPLETE: all doors exist, so a user without a door is no customer."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._in_directory(lambda: os.close(os.open(f"{self.directory}/{COMPLETE}", flags, 0o600)))

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

    def _in_directory(self, work: Callable[[], None]) -> None:
        """Do `work`; when there is no directory, make it and do `work` again. What is in its place is removed."""
        try:
            work()
        except OSError as error:
            if error.errno not in _NO_DIRECTORY:
                raise
            with suppress(FileNotFoundError, IsADirectoryError):  # nothing is there, or another child has made it
                os.unlink(self.directory)
            os.makedirs(self.directory, 0o700, exist_ok=True)
            work()


def _clear(path: str) -> None:
    """Remove a door, or an empty directory in its place; nothing happens when there is none."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        os.rmdir(path)
