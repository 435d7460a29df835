"""The port of the views: one child makes, checks or removes all views of a run."""

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from paas_isolate.linux.cgroup.location import TreeLocation
from paas_isolate.linux.namespaces import build, registry, syscalls, trash
from paas_isolate.linux.namespaces.build import ViewPaths
from paas_isolate.linux.process.child import run_forked
from paas_isolate.model.view import View, Views
from paas_isolate.replace_file import Durability, replace_file

AGING = "/run/tmpfiles.d/paas-isolate-private.conf"

PATIENCE = 120.0
"""Seconds: a thousand views take a tenth of it. Work that takes longer waits for a file system that does not answer."""

_in_child = partial(run_forked, what="views", patience=PATIENCE)


class MountNamespaces:
    """`directory` is RUN/views; `aging` is the file for systemd-tmpfiles(8) (tmpfiles.d(5)). Methods raise what
    run_forked does."""

    def __init__(self, directory: str, location: TreeLocation, aging: str = AGING) -> None:
        self._paths = ViewPaths(directory, location)
        self._aging = aging

    def observe(self) -> Views:
        """What is there now. Reads only."""
        if self._keeper_missing():
            return Views(aging=self._aging_text())
        found: list[Any] = _in_child(lambda: list(_observe(self._paths)))
        made = {name: View(*view) if view else None for name, view, _, _ in found}
        namespaces = {name: namespace for name, _, namespace, _ in found if namespace}
        return Views(made, self._aging_text(), namespaces, {name: tmp for name, _, _, tmp in found if tmp})

    def make(self, views: Iterable[tuple[str, View]]) -> list[str]:
        """Make each view, given with the name of its account's directory, in the place of the one before. For each, in
        order, what went wrong, '' where nothing did."""
        wanted = list(views)
        if wanted and self._keeper_missing():
            registry.destroy(self._paths.directory)
            _in_child(lambda: registry.create(self._paths.directory))
        os.makedirs(self._paths.doors, 0o700, exist_ok=True)
        wrong: list[str] = _in_child(lambda: list(_make(self._paths, wanted))) if wanted else []
        trash.remove(sorted({os.path.dirname(view.tmp) for _, view in wanted if view.tmp}))
        return wrong

    def remove(self, views: Iterable[tuple[str, str]]) -> list[str]:
        """Remove views with the files of their private /tmp. Each is given as the name of the account's directory and
        the path of those files ('' for none). For each, in order, what went wrong, '' where nothing did."""
        unwanted = list(views)
        if not unwanted:
            return []
        wrong = _remove_files([tmp for _, tmp in unwanted])
        # a view whose files stay is kept, so that the next run sees it and tries again
        gone = [name for (name, _), problem in zip(unwanted, wrong, strict=True) if not problem]
        if not self._keeper_missing() and not _in_child(lambda: _remove(self._paths, gone)):
            registry.destroy(self._paths.directory)
        return wrong

    def set_aging(self, text: str) -> None:
        """Replace the file for systemd-tmpfiles(8); '' removes it. OSError where it cannot be written."""
        if not text:
            with suppress(FileNotFoundError):
                os.unlink(self._aging)
            return
        os.makedirs(os.path.dirname(self._aging), exist_ok=True)
        replace_file(self._aging, text.encode(), Durability.NONE, mode=0o644)

    def _aging_text(self) -> str:
        with suppress(OSError), open(self._aging, encoding="utf-8", errors="replace") as file:
            return file.read()
        return ""

    def _keeper_missing(self) -> bool:
        try:
            os.close(syscalls.open_namespace(f"{self._paths.directory}/{registry.HANDLE}"))
        except OSError:
            return True
        return False


class _NamespaceHandles:
    """Those of the host and of the keeper, for a child that changes between them."""

    def __init__(self, paths: ViewPaths) -> None:
        self.host = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.keeper = syscalls.open_namespace(f"{paths.directory}/{registry.HANDLE}")

    @contextmanager
    def in_keeper(self) -> Iterator[None]:
        """In the keeper for the block, on the host behind it."""
        syscalls.enter(self.keeper)
        yield
        syscalls.enter(self.host)


def _observe(paths: ViewPaths) -> Iterator[tuple[str, tuple[object, ...] | None, int, str]]:
    """Of each view: the account's directory, the view as plain data (None where it is not whole), the inode of its
    namespace (0 where that is not known), and the path of its private /tmp."""
    handles = _NamespaceHandles(paths)
    with handles.in_keeper():
        records = list(registry.records())
    fitting = {name for name, record in records if record and build.fits(name, record, paths)}
    for name, record in records:
        syscalls.enter(handles.keeper)
        whole = record is not None and name in fitting and _is_whole(name, record)
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


def _make(paths: ViewPaths, wanted: list[tuple[str, View]]) -> Iterator[str]:
    """What went wrong with each, '' where nothing did."""
    handles = _NamespaceHandles(paths)
    with handles.in_keeper():
        registry.prune()
    cpus = os.sched_getaffinity(0)
    for name, view in wanted:
        yield _try(partial(_make_one, handles, name, view, paths), cpus)


def _make_one(handles: _NamespaceHandles, name: str, view: View, paths: ViewPaths) -> None:
    syscalls.enter(handles.host)
    build.ready(view)
    syscalls.unshare()
    record = build.build(name, view, paths)
    handle = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.enter(handles.keeper)
        registry.register(name, handle, record)
    finally:
        os.close(handle)


def _remove(paths: ViewPaths, names: list[str]) -> int:
    """Unregister these views; how many are left."""
    with _NamespaceHandles(paths).in_keeper():
        for name in names:
            registry.unregister(name)
        return len(registry.names())


def _try(work: Callable[[], None], cpus: set[int]) -> str:
    """What went wrong, '' where nothing did. The work begins on the CPU that was right for the last view, and tries the
    others where that one is wrong (registry.on_some_cpu)."""
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


def _remove_files(directories: list[str]) -> list[str]:
    """Remove the directories of private /tmp of accounts that are gone; what went wrong with each."""
    wrong = [trash.set_aside(tmp) if tmp else "" for tmp in directories]
    problem = trash.remove(sorted({os.path.dirname(tmp) for tmp in directories if tmp}))
    failed = {tmp for tmp in directories if problem and tmp and trash.left_of(tmp)}
    return [first or (problem if tmp in failed else "") for first, tmp in zip(wrong, directories, strict=True)]
