"""What is known of services that run, in a directory of root's alone: a record for each leaf, gone with the boot.

The first line is ours, JSON; the shim (pam/launchers/shim.c) and we add lines behind it. A new run is a new file.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from paas_isolate.errors import Trouble, trouble
from paas_isolate.linux.process import procfs
from paas_isolate.linux.services.results import JobResults, moment, result_from
from paas_isolate.model import tree
from paas_isolate.model.run import HOUR, MANY, OWN_FAILURE, ProgramExit, Result, Run
from paas_isolate.replace_file import Durability, replace_file

_MOST = 1 << 16
_MODE = 0o600
_TIMES = 999
_KILLED = re.compile(rb"\nkilled \d{10}\.\d{3} (\d{3})\n")
"""Always as long, so that it can be written over."""

ENDING = ".ending"
"""Lies among the records when the machine goes down: nothing is started any more."""


class RunRecords:
    """`directory` holds a file `ACCOUNT.LEAF` for each leaf with a program of ours; `views` is
    the handle by which the accounts' views are entered; `results` what is remembered of jobs."""

    def __init__(self, directory: str, views: str, results: JobResults) -> None:
        self.directory, self.views, self.results = directory, views, results

    @property
    def ending(self) -> bool:
        return os.path.exists(f"{self.directory}/{ENDING}")

    def end(self) -> None:
        os.makedirs(self.directory, 0o700, exist_ok=True)
        os.close(os.open(f"{self.directory}/{ENDING}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE))

    def observe(
        self,
        members: Mapping[str, tuple[int, ...]],
        starved: Callable[[str], int],
        leaves: Collection[str] | None = None,
        broken: dict[str, Trouble] | None = None,
    ) -> dict[str, Run]:
        """Every run by its leaf, or those of `leaves`. `members` are the processes in each; `starved` counts kills for
        want of memory, and is asked of programs that have ended. `broken` hears what was raised, by account directory;
        without it, that is raised here."""
        found = {}
        for path in map(path_of, self._names()) if leaves is None else filter(tree.is_leaf, leaves):
            try:
                if (record := self.read(path)) is not None:
                    run = _as_it_is(*record, members.get(path, ()), partial(starved, path))
                    found[path] = run.by(time.time())
            except Exception as error:
                if broken is None:
                    raise
                broken.setdefault(tree.directory_of(path), trouble(error))
        return found

    def read(self, path: str) -> tuple[dict[str, Any], list[list[str]]] | None:
        """The head of a record and the words of its lines; None where there is none, or none that can be read."""
        try:
            fd = os.open(self._file(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            head, *lines = os.read(fd, _MOST).decode(errors="replace").split("\n")
            return _head(head), [line.split() for line in lines if line.strip()]
        except (OSError, ValueError):
            return None
        finally:
            os.close(fd)

    @contextmanager
    def begin(self, path: str, digest: str, starved: int) -> Iterator[tuple[int, list[float]]]:
        """A new record in the place of the old one: a descriptor to add to it, and the times of the last starts of the
        same, this one's at the end. A start that was ordered by hand begins the count anew."""
        head, lines = self.read(path) or ({}, [])
        before = _of(head, lines)
        same = before.digest == digest and not before.clean_restart
        counted = before.starts[:-1] if before.end.why_waiting else before.starts
        begun = [*(counted if same else ()), time.time()][-MANY:]
        last = _plain(self.results.read(name_of(path)))
        more = {"failures": before.failed_starts if same else 0, "starved": starved, "last": last}
        with self._new(path, {"digest": digest, "begun": begun, **more}) as fd:
            yield fd, begun

    def wait(self, path: str, digest: str) -> None:
        """A record of what has not run since the boot: it is due from now on, and not again in the minute for which it
        ran before, where the clock has stepped back a little."""
        now, last = time.time(), self.results.read(name_of(path))
        since = max(now, last.started) if last and last.started <= now + HOUR else now
        with self._new(path, {"digest": digest, "since": since, "last": _plain(last)}):
            pass

    def remember(self, path: str, result: Result) -> None:
        """Once: the record says that it was done."""
        self.results.write(name_of(path), result)
        self.add(path, "remembered")

    def add(self, path: str, *words: object) -> None:
        """A line of ours; nothing where there is no record any more."""
        line = "\n" + " ".join(map(str, words)) + "\n"  # the keeper's last may be cut, where /run was full
        with suppress(FileNotFoundError), self.added(path) as fd:
            os.write(fd, line.encode())

    @contextmanager
    def added(self, path: str) -> Iterator[int]:
        """A descriptor to add to a record. OSError where there is none."""
        fd = os.open(self._file(path), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield fd
        finally:
            os.close(fd)

    def note_failure(self, path: str, kind: str, why: str) -> None:
        """That nothing was begun: `waiting` for what is not there yet, or `failed` by the customer's own doing."""
        self.add(path, kind, *" ".join(why.split()).split(), f"{time.time():.3f}")

    def note_kill(self, path: str) -> None:
        """In the place of the last such line: what does not die for days fills no record."""
        with suppress(FileNotFoundError):
            fd = os.open(self._file(path), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                text = os.read(fd, _MOST)
                last = _KILLED.search(text)
                times = min(int(last[1]) + 1 if last else 1, _TIMES)
                line = f"\nkilled {time.time():.3f} {times:03}\n".encode()
                os.pwrite(fd, line, last.start() if last else len(text))
            finally:
                os.close(fd)

    def order(self, path: str, *, alive: bool) -> None:
        """Have it start anew where it does not run; with `alive` also where it does."""
        record = self.read(path)
        if record is None:
            self.wait(path, "")
        elif not alive and _lives(_of(*record)):
            return
        self.add(path, "again")

    def names_of(self, path: str) -> list[str]:
        """The records of a service: of its leaf, and of those of its replicas."""
        name = name_of(path)
        return [it for it in self._names() if it == name or it.startswith(f"{name}.")] or [name]

    def forget(self, path: str) -> None:
        self.results.forget(name_of(path))
        with suppress(FileNotFoundError):
            os.unlink(self._file(path))

    @contextmanager
    def _new(self, path: str, head: dict[str, Any]) -> Iterator[int]:
        import json

        replace_file(self._file(path), json.dumps(head).encode() + b"\n", Durability.NONE, makes_directory=True)
        with self.added(path) as fd:
            yield fd

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
    return f"{directory}.{leaf.replace('/', '.')}"


def path_of(name: str) -> str:
    directory, _, leaf = name.partition(".")
    return tree.leaf(directory, leaf)


def _plain(result: Result | None) -> dict[str, float | None] | None:
    return result.plain() if result else None


def _head(text: str) -> dict[str, Any]:
    """The first line of a record. ValueError when it is not as we write it: a keeper that a customer has taken over can
    write there."""
    import json  # a run in which nothing is kept does not pay for it

    try:
        head = json.loads(text)
        begun, since, starved = head.get("begun", ()), head.get("since", 0.0), head.get("starved", 0)
        return {
            "digest": str(head.get("digest", "")),
            "since": moment(since),
            "begun": tuple(map(moment, begun))[-MANY:],
            "starved": int(starved),
            "failures": min(int(head.get("failures", 0)), MANY),
            "last": result_from(head.get("last")),
        }
    except (AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _lives(run: Run) -> bool:
    """Who was killed with its keeper counts as living until its pid is another's: then nothing is lost by a second
    order. A keeper that has not begun its program yet is about to."""
    if run.end != ProgramExit():
        return False
    return (run.pid != 0 and _started(run.pid) == run.start) or (
        run.keeper_start != 0 and _started(run.keeper) == run.keeper_start
    )


def _as_it_is(
    head: dict[str, Any], lines: list[list[str]], members: tuple[int, ...], starved: Callable[[], int]
) -> Run:
    run = _of(head, lines)
    alive = run.pid in members and _started(run.pid) == run.start
    alive = alive or (run.end == ProgramExit() and run.keeper in members)  # which is about to say how it ended
    if run.starts and not alive and run.end == ProgramExit():
        run = run._replace(end=ProgramExit(at=run.starts[-1]))
    if run.end != ProgramExit() and run.end.status is None and run.end.signal in (None, 9):
        run = run._replace(end=run.end._replace(oom_killed=starved() > head["starved"]))
    return run._replace(alive=alive and run.end == ProgramExit())


def _of(head: dict[str, Any], lines: list[list[str]]) -> Run:
    if not head:
        return Run("")
    run = Run(head["digest"], head["since"], head["begun"], failures=head["failures"], last=head["last"])
    for words in lines:
        with suppress(ValueError):
            run = _with(run, words)
    return run


def _with(run: Run, words: list[str]) -> Run:
    match words:
        case ["main", pid, start, keeper, _]:
            return run._replace(pid=int(pid), start=int(start), keeper=int(keeper))
        case ["keeper", keeper, start, _]:
            return run._replace(keeper=int(keeper), keeper_start=int(start))
        case ["waiting", *why, at]:
            return run._replace(end=ProgramExit(status=OWN_FAILURE, at=moment(at), why=" ".join(why)))
        case ["failed", *why, at]:
            return run._replace(end=ProgramExit(at=moment(at), why=" ".join(why)))
        case ["exit", status, at]:
            return run._replace(end=ProgramExit(status=int(status), at=moment(at)))
        case ["signal", number, at]:
            return run._replace(end=ProgramExit(signal=int(number), at=moment(at)))
        case ["background", _]:
            return run._replace(background=True)
        case ["unhealthy", _]:
            return run._replace(unhealthy=True)
        case ["asked", at, kill_at, *why]:
            return run._replace(stop_requested_at=moment(at), kill_at=moment(kill_at), why=" ".join(why), tidied=False)
        case ["tidied", at, kill_at, *why]:
            return run._replace(stop_requested_at=moment(at), kill_at=moment(kill_at), why=" ".join(why), tidied=True)
        case ["killed", at, times]:
            return run._replace(killed=min(moment(at), time.time()), kills=max(1, min(int(times), _TIMES)))
        case ["again"]:
            return run._replace(restart_requested=True)
        case ["given-up"]:
            return run._replace(given_up=True)
        case ["told"]:
            return run._replace(notified=True)
        case ["remembered"]:
            return run._replace(remembered=True)
    return run


def _started(pid: int) -> int | None:
    found = procfs.identity(pid)
    return found.start if found and found.alive else None
