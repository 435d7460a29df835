"""The observed state divided by account: to find the account whose part causes an exception without going through the
whole state for each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from paas_isolate.changes.placement import Placement
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.view import Views
from paas_isolate.model.world import ObservedWorld, Process

Value = TypeVar("Value")


class Parts:
    """The parts have no network, no quotas and no bandwidth, which cannot be divided by account."""

    def __init__(self, observed: ObservedWorld, fleet: Fleet) -> None:
        places = Placement(fleet)
        self._cgroups = _by_directory(observed.cgroups)
        self._members = _by_directory(observed.members)
        self._runs = _by_directory(observed.runs)
        self._views = observed.views.made
        self._doors: dict[str, dict[str, str]] = defaultdict(dict)
        for name, target in observed.doors.items():
            self._doors[tree.account_of_door(target)][name] = target
        self._processes: dict[str, list[Process]] = defaultdict(list)
        for process in observed.processes:
            account = places.account_of(process.uid)
            self._processes[account.directory if account else tree.directory_of(process.cgroup)].append(process)

    def of(self, directories: Iterable[str]) -> ObservedWorld:
        """The parts of these accounts, and what belongs to no account."""
        names = (*directories, "")
        return ObservedWorld(
            _together(self._cgroups, names),
            tuple(process for name in names for process in self._processes.get(name, ())),
            _together(self._members, names),
            doors=_together(self._doors, names),
            runs=_together(self._runs, names),
            views=Views({name: self._views[name] for name in names if name in self._views}),
        )


def _by_directory(paths: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    parts: dict[str, dict[str, Value]] = defaultdict(dict)
    for path, value in paths.items():
        parts[tree.directory_of(path)][path] = value
    return parts


def _together(parts: Mapping[str, Mapping[str, Value]], directories: Iterable[str]) -> dict[str, Value]:
    return {name: value for directory in directories for name, value in parts.get(directory, {}).items()}
