"""The hands of views: all of a run are made, looked at and taken away by one child each time."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from paas_isolate.linux.cgroup.location import TreeLocation
from paas_isolate.linux.namespaces import build, registry, syscalls, trash
from paas_isolate.linux.namespaces.build import ViewPaths
from paas_isolate.linux.namespaces.child import in_child
from paas_isolate.model.view import View, Views
from paas_isolate.replace_file import Durability, replace_file

AGING = "/run/tmpfiles.d/paas-isolate-private.conf"


class MountNamespaces:
    """`directory` is RUN/views."""

    def __init__(self, directory: str, location: TreeLocation, aging: str = AGING) -> None:
        self._ground = ViewPaths(directory, location)
        self._aging = aging

    def observe(self) -> Views:
        if self._broken():
            return Views(aging=self._aged())
        found = in_child(lambda: list(_look(self._ground)))
        made = {name: View(*view) if view else None for name, view, _, _ in found}
        namespaces = {name: namespace for name, _, namespace, _ in found if namespace}
        return Views(made, self._aged(), namespaces, {name: tmp for name, _, _, tmp in found if tmp})

    def make(self, views: Iterable[tuple[str, View]]) -> list[str]:
        asked = list(views)
        if asked and self._broken():
            registry.destroy(self._ground.directory)
            in_child(lambda: registry.create(self._ground.directory))
        os.makedirs(self._ground.doors, 0o700, exist_ok=True)
        wrong: list[str] = in_child(lambda: list(_make(self._ground, asked))) if asked else []
        trash.remove(sorted({os.path.dirname(view.tmp) for _, view in asked if view.tmp}))
        return wrong

    def remove(self, views: Iterable[tuple[str, str]]) -> list[str]:
        asked = list(views)
        if not asked:
            return []
        wrong = _clear([tmp for _, tmp in asked])
        gone = [name for (name, _), why in zip(asked, wrong, strict=True) if not why]  # who fails is seen again
        if not self._broken() and not in_child(lambda: _remove(self._ground, gone)):
            registry.destroy(self._ground.directory)
        return wrong

    def set_aging(self, text: str) -> None:
        if not text:
            with suppress(FileNotFoundError):
                os.unlink(self._aging)
            return
        os.makedirs(os.path.dirname(self._aging), exist_ok=True)
        replace_file(self._aging, text.encode(), Durability.NONE, mode=0o644)

    def _aged(self) -> str:
        with suppress(OSError), open(self._aging, encoding="utf-8", errors="replace") as file:
            return file.read()
        return ""

    def _broken(self) -> bool:
        """Whether there is no keeper of ours."""
        try:
            os.close(syscalls.open_namespace(f"{self._ground.directory}/{registry.HANDLE}"))
        except OSError:
            return True
        return False


class _NamespaceHandles:
    """To the host and to the keeper, for a child that goes back and forth."""

    def __init__(self, ground: ViewPaths) -> None:
        self.host = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.keeper = syscalls.open_namespace(f"{ground.directory}/{registry.HANDLE}")

    @contextmanager
    def among_handles(self) -> Iterator[None]:
        syscalls.enter(self.keeper)
        yield
        syscalls.enter(self.host)


def _look(ground: ViewPaths) -> Iterator[tuple[str, tuple[object, ...] | None, int, str]]:
    ways = _NamespaceHandles(ground)
    with ways.among_handles():
        found = list(registry.records())
    fit = {name for name, record in found if record and build.fits(name, record, ground)}
    for name, record in found:
        syscalls.enter(ways.keeper)
        whole = record is not None and name in fit and _is_whole(name, record)
        view = record.view if record else View()
        yield name, tuple(view) if whole else None, record.namespace if record else 0, view.tmp


def _is_whole(name: str, record: registry.ViewRecord) -> bool:
    try:
        handle = syscalls.open_namespace(f"/{name}")
    except OSError:
        return False
    try:
        if os.fstat(handle).st_ino != record.namespace:
            return False
        syscalls.enter(handle)
        return build.whole(record)
    except OSError:
        return False
    finally:
        os.close(handle)


def _make(ground: ViewPaths, asked: list[tuple[str, View]]) -> Iterator[str]:
    """What went wrong with each, '' where nothing did."""
    ways = _NamespaceHandles(ground)
    with ways.among_handles():
        registry.prune()
    cpus = os.sched_getaffinity(0)
    for name, view in asked:
        yield _tried(partial(_make_one, ways, name, view, ground), cpus)


def _make_one(ways: _NamespaceHandles, name: str, view: View, ground: ViewPaths) -> None:
    syscalls.enter(ways.host)
    build.ready(view)
    syscalls.unshare()
    record = build.build(name, view, ground)
    handle = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.enter(ways.keeper)
        registry.register(name, handle, record)
    finally:
        os.close(handle)


def _remove(ground: ViewPaths, names: list[str]) -> int:
    """How many are left."""
    with _NamespaceHandles(ground).among_handles():
        for name in names:
            registry.unregister(name)
        return len(registry.names())


def _tried(work: Callable[[], None], cpus: set[int]) -> str:
    """It stays on the CPU that was right for the last, and tries the others where it is not."""
    try:
        try:
            work()
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            os.sched_setaffinity(0, cpus)
            registry.on_some_cpu(work)
    except OSError as error:
        return f"{error.filename or 'views'}: {error.strerror}"
    return ""


def _clear(files: list[str]) -> list[str]:
    """The files that were kept for accounts that are gone; what went wrong with each."""
    wrong = [trash.set_aside(tmp) if tmp else "" for tmp in files]
    left = trash.remove(sorted({os.path.dirname(tmp) for tmp in files if tmp}))
    failed = {tmp for tmp in files if left and tmp and trash.left_of(tmp)}
    return [it or (left if tmp in failed else "") for it, tmp in zip(wrong, files, strict=True)]
