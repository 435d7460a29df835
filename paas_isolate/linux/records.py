"""What is known of services that run, in a directory of root's alone: a record for each leaf, gone with the boot.

The first line is ours, JSON; the keeper (pam/paas-run.c) and we add lines behind it. A new run is a new file.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from paas_isolate.linux import procfs
from paas_isolate.model import tree
from paas_isolate.model.running import MANY, End, Run

_MOST = 1 << 16
_MODE = 0o600
ENDING = ".ending"
"""Lies among the records when the machine goes down: nothing is started any more."""


class RecordDirectory:
    """`directory` holds a file `ACCOUNT.LEAF` for each leaf with a program of ours."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @property
    def ending(self) -> bool:
        return os.path.exists(f"{self.directory}/{ENDING}")

    def end(self) -> None:
        os.makedirs(self.directory, 0o700, exist_ok=True)
        os.close(os.open(f"{self.directory}/{ENDING}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE))

    def look(self, members: Mapping[str, tuple[int, ...]], starved: Callable[[str], int]) -> dict[str, Run]:
        """Every run by its leaf. `members` are the processes in each; `starved` counts kills for want of memory, and is
        asked of programs that have ended."""
        found = {}
        for name in self._names():
            path = path_of(name)
            if (run := self._run(path, members, starved)) is not None:
                found[path] = run
        return found

    def _run(self, path: str, members: Mapping[str, tuple[int, ...]], starved: Callable[[str], int]) -> Run | None:
        """An end is noted before the program is gone for good: where it is gone without, a second reading tells."""
        for _ in range(2):
            if (record := self.read(path)) is None:
                return None
            run = _as_it_is(*record, members.get(path, ()), partial(starved, path))
            if run.alive or not run.begun or (run.end.status, run.end.signal) != (None, None):
                break
        return run

    def read(self, path: str) -> tuple[dict[str, Any], list[list[str]]] | None:
        """The head of a record and the words of its lines; None where there is none, or none that can be read."""
        try:
            fd = os.open(self._file(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        import json  # a run in which nothing is kept does not pay for it

        try:
            head, *lines = os.read(fd, _MOST).decode(errors="replace").splitlines()
            return json.loads(head), [line.split() for line in lines]
        except ValueError:
            return None
        finally:
            os.close(fd)

    @contextmanager
    def begin(self, path: str, digest: str, starved: int) -> Iterator[tuple[int, list[float]]]:
        """A new record in the place of the old one: a descriptor to add to it, and the times of the last starts of the
        same, this one's at the end. A start that was ordered by hand begins the count anew."""
        head, lines = self.read(path) or ({}, [])
        same = head.get("digest") == digest and not _of(head, lines).fresh
        begun = [*(head.get("begun", ()) if same else ()), time.time()][-MANY:]
        with self._new(path, {"digest": digest, "begun": begun, "starved": starved}) as fd:
            yield fd, begun

    def wait(self, path: str, digest: str) -> None:
        """A record of what has not run yet: it is due from now on."""
        with self._new(path, {"digest": digest, "since": time.time()}):
            pass

    def add(self, path: str, *words: object) -> None:
        """A line of ours; nothing where there is no record any more."""
        line = " ".join(map(str, words)) + "\n"
        with suppress(FileNotFoundError):
            fd = os.open(self._file(path), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)

    def order(self, path: str, *, alive: bool) -> None:
        """Have it start anew where it does not run; with `alive` also where it does."""
        record = self.read(path)
        if record is None:
            self.wait(path, "")
        elif not alive and not _has_ended(record[1]):
            return
        self.add(path, "again")

    def forget(self, path: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._file(path))

    @contextmanager
    def _new(self, path: str, head: dict[str, Any]) -> Iterator[int]:
        import json

        os.makedirs(self.directory, 0o700, exist_ok=True)
        final = self._file(path)
        new = f"{self.directory}/.{os.path.basename(final)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(new, flags, _MODE)
        try:
            os.write(fd, json.dumps(head).encode() + b"\n")
            os.rename(new, final)
            yield fd
        finally:
            os.close(fd)

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self.directory) if name[0] != "."]
        except FileNotFoundError:
            return []

    def _file(self, path: str) -> str:
        return f"{self.directory}/{name_of(path)}"


def name_of(path: str) -> str:
    """`alice.worker` for users/alice/worker: neither has a dot but the one before the number of a replica."""
    _, directory, leaf = path.split("/", 2)
    return f"{directory}.{leaf}"


def path_of(name: str) -> str:
    directory, _, leaf = name.partition(".")
    return tree.leaf(directory, leaf)


def _has_ended(lines: list[list[str]]) -> bool:
    """Or has never begun. Who was killed with its keeper counts as living: then nothing is lost by a second order."""
    main = next((words for words in lines if words[0] == "main" and len(words) == 4), None)
    if main is None or any(words[0] in ("exit", "signal") for words in lines):
        return True
    return _started(int(main[1])) != int(main[2])


def _as_it_is(
    head: dict[str, Any], lines: list[list[str]], members: tuple[int, ...], starved: Callable[[], int]
) -> Run:
    run = _of(head, lines)
    alive = _lives(run, members)
    if run.begun and not alive and run.end == End():
        run = run._replace(end=End(at=run.begun[-1]))
    if run.end != End() and run.end.status is None and run.end.signal in (None, 9):
        run = run._replace(end=run.end._replace(starved=starved() > head.get("starved", 0)))
    return run._replace(alive=alive and run.end == End())


def _of(head: dict[str, Any], lines: list[list[str]]) -> Run:
    run = Run(head.get("digest", ""), head.get("since", 0.0), tuple(head.get("begun", ())))
    for words in lines:
        with suppress(ValueError, IndexError):
            run = _with(run, words)
    return run


def _with(run: Run, words: list[str]) -> Run:
    match words:
        case ["main", pid, start, _]:
            return run._replace(pid=int(pid), start=int(start))
        case ["exit", status, at]:
            return run._replace(end=End(status=int(status), at=float(at)))
        case ["signal", number, at]:
            return run._replace(end=End(signal=int(number), at=float(at)))
        case ["unhealthy", _]:
            return run._replace(unhealthy=True)
        case ["asked", at, kill_at, *why]:
            return run._replace(asked=float(at), kill_at=float(kill_at), why=" ".join(why))
        case ["again"]:
            return run._replace(again=True)
        case ["given-up"]:
            return run._replace(given_up=True)
    return run


def _lives(run: Run, members: tuple[int, ...]) -> bool:
    """Or is a zombie, whose keeper has yet to note how it ended."""
    found = procfs.identity(run.pid) if run.pid else None
    if found is None or found.start != run.start:
        return False
    return run.pid in members if found.alive else found.parent in members


def _started(pid: int) -> int:
    found = procfs.identity(pid)
    return found.start if found and found.alive else -1
