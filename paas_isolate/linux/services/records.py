"""The records of runs: a file for each leaf with a service, in a directory of root's that a boot empties.

We write the first line, in JSON; the shim (pam/launchers/shim.c) and we add lines of words behind it. A new run is a
new file.
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
"""The line has the same length each time, so that it can be overwritten."""

ENDING = ".ending"
"""A file among the records: the machine is shutting down, and nothing is started any more."""


class RunRecords:
    """`directory` holds a file `ACCOUNT.LEAF` for each leaf in which a program of ours ran; `views` is the path of the
    handle by which the accounts' views are entered; `results` has the last results of jobs."""

    def __init__(self, directory: str, views: str, results: JobResults) -> None:
        self.directory, self.views, self.results = directory, views, results

    @property
    def ending(self) -> bool:
        """Whether the machine is shutting down."""
        return os.path.exists(f"{self.directory}/{ENDING}")

    def end(self) -> None:
        """Note that the machine is shutting down. OSError where that cannot be written."""
        os.makedirs(self.directory, 0o700, exist_ok=True)
        os.close(os.open(f"{self.directory}/{ENDING}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE))

    def observe(
        self,
        members: Mapping[str, tuple[int, ...]],
        starved: Callable[[str], int],
        leaves: Collection[str] | None = None,
        broken: dict[str, Trouble] | None = None,
    ) -> dict[str, Run]:
        """The last run of every leaf with a record, or of those in `leaves`. `members` has the pids in each leaf;
        `starved` tells how many processes of a leaf the kernel has killed for lack of memory, and is called for
        programs that have ended. Exceptions are added to `broken` by account directory; without `broken` they are
        raised."""
        found = {}
        for path in map(path_of, self._names()) if leaves is None else filter(tree.is_leaf, leaves):
            try:
                if (record := self.read(path)) is not None:
                    run = _current(*record, members.get(path, ()), partial(starved, path))
                    found[path] = run.by(time.time())
            except Exception as error:
                if broken is None:
                    raise
                broken.setdefault(tree.directory_of(path), trouble(error))
        return found

    def read(self, path: str) -> tuple[dict[str, Any], list[list[str]]] | None:
        """The head of a record and the words of its lines; None where there is no record, or an unreadable one."""
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
        """Replace the record of a leaf by one of a new run: a descriptor to add to it, and the times (seconds since the
        epoch) of the last starts of the same program, this start at the end. A start that was ordered by hand begins
        the count anew. `starved` is the leaf's count of kills for lack of memory at this moment. OSError."""
        head, lines = self.read(path) or ({}, [])
        before = _run_from(head, lines)
        same = before.digest == digest and not before.clean_restart
        counted = before.starts[:-1] if before.end.why_waiting else before.starts
        starts = [*(counted if same else ()), time.time()][-MANY:]
        last = _plain(self.results.read(name_of(path)))
        more = {"failures": before.failed_starts if same else 0, "starved": starved, "last": last}
        with self._new(path, {"digest": digest, "begun": starts, **more}) as fd:
            yield fd, starts

    def wait(self, path: str, digest: str) -> None:
        """Write a record of a job that has not run since the boot. Its schedule counts from now on; or from the start
        of its last run, where the clock was set back by up to an hour: it must not run twice for one time. OSError."""
        now, last = time.time(), self.results.read(name_of(path))
        since = max(now, last.started) if last and last.started <= now + HOUR else now
        with self._new(path, {"digest": digest, "since": since, "last": _plain(last)}):
            pass

    def remember(self, path: str, result: Result) -> None:
        """Save the result of a job, and note in its record that it is saved. OSError."""
        self.results.write(name_of(path), result)
        self.add(path, "remembered")

    def add(self, path: str, *words: object) -> None:
        """Add a line to a record; nothing is done where the record is gone. OSError."""
        # begins with a newline, for the keeper's last line may be cut short, where /run was full
        line = "\n" + " ".join(map(str, words)) + "\n"
        with suppress(FileNotFoundError), self.added(path) as fd:
            os.write(fd, line.encode())

    @contextmanager
    def added(self, path: str) -> Iterator[int]:
        """A descriptor to add to a record. OSError where there is no record."""
        fd = os.open(self._file(path), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield fd
        finally:
            os.close(fd)

    def note_failure(self, path: str, kind: str, why: str) -> None:
        """Note that no program was started, and why. `kind` is `waiting` where the machine lacks something, `failed`
        where the customer has caused it."""
        self.add(path, kind, *why.split(), f"{time.time():.3f}")

    def note_kill(self, path: str) -> None:
        """Note a kill with its count. The line replaces the last of its kind, so that a program that does not die for
        days does not fill the record."""
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
        """Order a start where the program does not run; with `alive` a restart where it does."""
        record = self.read(path)
        if record is None:
            self.wait(path, "")
        elif not alive and _may_be_alive(_run_from(*record)):
            return
        self.add(path, "again")

    def names_of(self, path: str) -> list[str]:
        """The names of a service's records: of its leaf and of the leaves of its replicas."""
        name = name_of(path)
        return [other for other in self._names() if other == name or other.startswith(f"{name}.")] or [name]

    def forget(self, path: str) -> None:
        """Remove the record of a leaf and the saved result of its job. Missing ones are no error."""
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
    """The leaf of a record's name."""
    directory, _, leaf = name.partition(".")
    return tree.leaf(directory, leaf)


def _plain(result: Result | None) -> dict[str, float | None] | None:
    return result.plain() if result else None


def _head(text: str) -> dict[str, Any]:
    """The first line of a record. ValueError when it is not as we write it: a keeper process that a customer has taken
    over can write to the record."""
    import json  # a run without services does not pay for it

    try:
        head = json.loads(text)
        return {
            "digest": str(head.get("digest", "")),
            "since": moment(head.get("since", 0.0)),
            "begun": tuple(map(moment, head.get("begun", ())))[-MANY:],
            "starved": int(head.get("starved", 0)),
            "failures": min(int(head.get("failures", 0)), MANY),
            "last": result_from(head.get("last")),
        }
    except (AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _may_be_alive(run: Run) -> bool:
    """Whether the program or its keeper process is alive. A keeper that has not started its program yet is about to.
    Where both were killed the record has no end, so pids are compared with their start times."""
    if run.end != ProgramExit():
        return False
    return (run.pid != 0 and _started(run.pid) == run.start) or (
        run.keeper_start != 0 and _started(run.keeper) == run.keeper_start
    )


def _current(head: dict[str, Any], lines: list[list[str]], members: tuple[int, ...], starved: Callable[[], int]) -> Run:
    """The run of a record, compared with the processes that are in its leaf now."""
    run = _run_from(head, lines)
    alive = run.pid in members and _started(run.pid) == run.start
    alive = alive or (run.end == ProgramExit() and run.keeper in members)  # it is about to write how the program ended
    if run.starts and not alive and run.end == ProgramExit():
        run = run._replace(end=ProgramExit(at=run.starts[-1]))
    if run.end != ProgramExit() and run.end.status is None and run.end.signal in (None, 9):
        run = run._replace(end=run.end._replace(oom_killed=starved() > head["starved"]))
    return run._replace(alive=alive and run.end == ProgramExit())


def _run_from(head: dict[str, Any], lines: list[list[str]]) -> Run:
    """What the record alone tells. Lines that are not as we and the shim write them are left out."""
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
    """The start time of a living process, field 22 of proc_pid_stat(5); None where there is none."""
    identity = procfs.identity(pid)
    return identity.start if identity and identity.alive else None
