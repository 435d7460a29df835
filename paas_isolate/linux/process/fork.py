"""Much work in shares: children do a part each, and send back plain data.

A share whose child did not answer, whatever ended it, is done here: so what is shared must do no harm twice.
A child whose parent is gone stops before its next item, for it holds what the parent held: the lock.
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
"""Processes at the most, this one included: the machine has other work."""


def worker_count(items: int, *, least: int) -> int:
    """How many shares so many items make on this machine, `least` in each."""
    return max(1, min(MOST, len(os.sched_getaffinity(0)), items // least))


def parts(items: Sequence[Item], shares: int) -> list[Sequence[Item]]:
    """So many runs of neighbours, of about the same length."""
    ends = [len(items) * share // shares for share in range(shares + 1)]
    return [items[begin:end] for begin, end in pairwise(ends)]


def map_forked(work: Callable[[Iterable[Item]], Found], shares: Sequence[Sequence[Item]]) -> Iterator[Found]:
    """What `work` makes of each share, in order: of the first here, of the others in children meanwhile.

    `work` returns what marshal(3) of Python knows: tuples, lists, dicts, str, bytes, numbers, None.
    """
    with ExitStack() as children:
        _hear_of_ends(children)
        answers = [_ask(work, share, children) for share in shares[1:]]
        yield work(shares[0])
        for share, answer in zip(shares[1:], answers, strict=True):
            data = _all_of(answer)
            yield marshal.loads(data) if data else work(share)  # noqa: S302  (from a child of our own)


def _ask(work: Callable[[Iterable[Item]], Found], share: Iterable[Item], children: ExitStack) -> int:
    """Start a child on a share: the descriptor that its answer comes from, empty where none comes."""
    parent, (answer, to) = os.getpid(), os.pipe()
    children.callback(os.close, answer)
    try:
        child = os.fork()
    except OSError:  # the machine has no process to give: then it is done here
        os.close(to)
        return answer
    if child:
        os.close(to)
        children.callback(_end, child)
        return answer
    try:
        os.close(answer)  # so that writing ends with the parent
        _answer(marshal.dumps(work(_while_wanted(share, parent))), to)  # type: ignore[arg-type]
    finally:
        os._exit(0)  # whatever happened: no traceback, no flush of what the parent was about to say


def _hear_of_ends(undo: ExitStack) -> None:
    """Who started us may have told the kernel to forget children that end, and an exec(2) hands that on: then none
    can be waited for, and their pids are others' soon (sigaction(2), SA_NOCLDWAIT)."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        undo.callback(signal.signal, signal.SIGCHLD, signal.SIG_IGN)


def _while_wanted(share: Iterable[Item], parent: int) -> Iterator[Item]:
    for item in share:
        if os.getppid() != parent:
            os._exit(0)  # not a return: half a share is none
        yield item


def _answer(data: bytes, to: int) -> None:
    """The length first: half an answer is none."""
    with open(to, "wb") as pipe:
        pipe.write(len(data).to_bytes(8))
        pipe.write(data)


def _all_of(answer: int) -> bytes:
    """What a child sent; b"" when that is not all."""
    with open(answer, "rb", closefd=False) as pipe:
        size = int.from_bytes(pipe.read(8))
        data = pipe.read()
    return data if len(data) == size else b""


def _end(child: int) -> None:
    """It has answered, or nobody waits for it any more."""
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
