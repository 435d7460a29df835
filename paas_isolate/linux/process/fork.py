"""Work divided among child processes, each of which does one share and sends back plain data.

When a child does not answer, whatever the reason, its share is done again in this process: so work must be safe to do
twice. A child whose parent has ended stops before its next item, because it still holds the lock that it inherited.
"""

import marshal
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")

MOST = 4
"""The largest number of processes, this one included: the machine has other work to do."""


def worker_count(items: int, *, least: int) -> int:
    """Into how many shares to divide so many items: at most MOST and one for each CPU that this process may use, with
    at least `least` items each."""
    return max(1, min(MOST, len(os.sched_getaffinity(0)), items // least))


def parts(items: Sequence[Item], shares: int) -> list[Sequence[Item]]:
    """The items in their order, divided into so many shares of about the same length."""
    ends = [len(items) * share // shares for share in range(shares + 1)]
    return [items[begin:end] for begin, end in pairwise(ends)]


def map_forked(work: Callable[[Iterable[Item]], Found], shares: Sequence[Sequence[Item]]) -> Iterator[Found]:
    """The results of `work` for each share, in order. This process does the first share, children do the others
    meanwhile.

    `work` must return what Python's marshal can write: tuples, lists, dicts, str, bytes, numbers, None.
    """
    with ExitStack() as children:
        _make_children_waitable(children)
        answers = [_start_child(work, share, children) for share in shares[1:]]
        yield work(shares[0])
        for share, answer in zip(shares[1:], answers, strict=True):
            data = _all_of(answer)
            yield marshal.loads(data) if data else work(share)  # noqa: S302  (from a child of our own)


def _start_child(work: Callable[[Iterable[Item]], Found], share: Iterable[Item], children: ExitStack) -> int:
    """Start a child on a share: the descriptor to read its answer from. It is at its end at once when there is none."""
    parent, (answer, to) = os.getpid(), os.pipe()
    children.callback(os.close, answer)
    try:
        child = os.fork()
    except OSError:  # no more processes are possible here: the share is done in this one
        os.close(to)
        return answer
    if child:
        os.close(to)
        children.callback(_end, child)
        return answer
    try:
        os.close(answer)  # so that writing fails when the parent has ended
        _answer(marshal.dumps(work(_while_wanted(share, parent))), to)  # type: ignore[arg-type]
    finally:
        os._exit(0)  # in any case: no traceback, and no flush of the output that the parent has buffered


def _make_children_waitable(undo: ExitStack) -> None:
    """If our caller ignores SIGCHLD, so do we after execve(2), and the kernel removes children as they end: they cannot
    be waited for, and their pids are soon reused (sigaction(2), SA_NOCLDWAIT)."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        undo.callback(signal.signal, signal.SIGCHLD, signal.SIG_IGN)


def _while_wanted(share: Iterable[Item], parent: int) -> Iterator[Item]:
    for item in share:
        if os.getppid() != parent:
            os._exit(0)  # not a return, which would send the result of half a share
        yield item


def _answer(data: bytes, to: int) -> None:
    """The length comes first, so that the reader knows when an answer is cut off."""
    with open(to, "wb") as pipe:
        pipe.write(len(data).to_bytes(8))
        pipe.write(data)


def _all_of(answer: int) -> bytes:
    """The whole answer of a child; b"" when it is cut off or missing."""
    with open(answer, "rb", closefd=False) as pipe:
        size = int.from_bytes(pipe.read(8))
        data = pipe.read()
    return data if len(data) == size else b""


def _end(child: int) -> None:
    """Kill and wait for a child that has answered or whose answer is no longer wanted."""
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
