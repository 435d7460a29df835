"""Reads what cgroups of accounts say of their faults. Paths are relative to the accounts' directory: `alice/web`, and
'' for all accounts together."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from paas_isolate.linux.cgroup.files import text_of
from paas_isolate.metering.detection import Events, events, lineage
from paas_isolate.metering.reading import number


class FaultFiles:
    """`users` is the accounts' directory. What is gone or cannot be read is left out."""

    def __init__(self, users: str) -> None:
        self._users = users
        self.by_limit = os.path.exists(os.path.join(users, "pids.events.local"))
        """Whether the kernel counts a refused fork where the limit is (Linux 6.11)."""

    def events(self, directory: str) -> dict[str, Events]:
        """Those of an account and its leaves, by path, the leaves read first; for '' of all accounts together."""
        paths = [*self.leaves(directory), directory] if directory else [""]
        return {path: found for path in paths if (found := self._events(path)) is not None}

    def leaves(self, directory: str) -> Iterator[str]:
        """The paths of an account's leaves."""
        with suppress(FileNotFoundError), os.scandir(os.path.join(self._users, directory)) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield f"{directory}/{entry.name}"

    def full(self, paths: Iterable[str]) -> set[str]:
        """Those of these cgroups, and of those above them, that have as many processes as they may."""
        cgroups = {each for path in paths for each in lineage(path)}
        return {path for path in cgroups if self._is_full(path)}

    def _is_full(self, path: str) -> bool:
        most, now = number(self.read(path, "pids.max")), number(self.read(path, "pids.current"))
        return most is not None and now is not None and now >= most

    def _events(self, path: str) -> Events | None:
        memory = self.read(path, "memory.events.local")
        pids = self.read(path, "pids.events.local" if self.by_limit else "pids.events")
        if memory is None and pids is None:
            return None
        return events(memory, pids)

    def text(self, path: str, knob: str) -> str:
        """A knob's text without its last newline; '' where there is none."""
        return (self.read(path, knob) or b"").decode("ascii", "replace").strip()

    def read(self, path: str, name: str) -> bytes | None:
        return text_of(os.path.join(self._users, path, name))
