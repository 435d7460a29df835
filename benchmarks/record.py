"""From what strace saw to the list of operations that the floor carries out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

CALLS = "openat,read,write,close,close_range,mkdirat,unlinkat,newfstatat,getdents64"

SPECS = "<specs>"
"""Stands for the directory of the specifications, which is another where the list is carried out."""

_LINE = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_AT = re.compile(r'(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, "((?:[^"\\]|\\.)*)"(?:, (\S+))?')
_RANGE = re.compile(r"(\d+)(?:<[^>]*>)?, (\d+)")
_ON = re.compile(r'(\d+)<[^>]*>(?:, "((?:[^"\\]|\\.)*)"(?:\.\.\.)?)?')


@dataclass
class _Open:
    path: str
    operation: str


def operations(trace: Iterable[str], root: str, specs: str) -> Iterator[str]:
    """What was done on the tree at `root` and in /proc, and what files below `specs` were asked for, in order; all
    else is not the reconciler's work on the kernel, and left out: the floor is the lower for it."""
    opened: dict[str, _Open] = {}
    for line in trace:
        if found := _LINE.match(line):
            call, words, result = found.groups()
            if call == "close_range":
                yield from _closed(words, opened)
            elif call in ("read", "write", "close", "getdents64"):
                yield from _on(call, words, opened)
            elif at := _AT.match(words):
                path = _path(at[1] or "", at[2], root)
                if not path and call == "newfstatat" and (whole := _whole(at[1] or "", at[2])).startswith(f"{specs}/"):
                    yield f"stat\t{whole.replace(specs, SPECS, 1)}"
                elif path and call == "openat":
                    yield from _opened(path, result, opened)
                elif path and call in _VERBS and path != "/proc":
                    yield f"{_VERBS[call]}\t{path}"


def scaled(seen: Iterable[str], sample: str, names: Sequence[str], specs: str) -> Iterator[str]:
    """The operations of a small fleet, for a large one: what was done for the account `sample` in one go is done
    for each of `names`, at the same place in the order. strace slows an emulated machine a hundredfold."""
    account = re.compile(rf"{sample[:-5]}\d{{5}}")
    here = (line.replace(SPECS, specs) for line in seen)
    for name, run in groupby(here, key=lambda line: found[0] if (found := account.search(line)) else ""):
        lines = list(run)
        if not name:
            yield from lines
        elif name == sample:
            for each in names:
                yield from (line.replace(sample, each) for line in lines)


_VERBS = {"mkdirat": "mkdir", "unlinkat": "rmdir", "newfstatat": "stat"}


def _whole(base: str, path: str) -> str:
    return path if path.startswith("/") else f"{base}/{path}".removesuffix("/.").rstrip("/")


def _path(base: str, path: str, root: str) -> str:
    """Relative to the tree's root, /proc itself, or '' for what is neither."""
    whole = _whole(base, path)
    if whole == root:
        return "."
    if whole.startswith(f"{root}/"):
        return whole[len(root) + 1 :]
    return "/proc" if whole == "/proc" else ""


def _opened(path: str, result: str, opened: dict[str, _Open]) -> Iterator[str]:
    if result == "-1":
        yield f"read\t{path}\t4096"
    else:
        opened[result] = _Open(path, "")


def _closed(words: str, opened: dict[str, _Open]) -> Iterator[str]:
    """The floor closes one by one: the order of reads is kept, and how they were closed is ours to win by."""
    if found := _RANGE.match(words):
        for descriptor in range(int(found[1]), int(found[2]) + 1):
            yield from _on("close", f"{descriptor}<>", opened)


def _on(call: str, words: str, opened: dict[str, _Open]) -> Iterator[str]:
    found = _ON.match(words)
    if not found or found[1] not in opened:
        return
    it = opened[found[1]]
    if call == "close":
        del opened[found[1]]
        if it.operation:
            yield it.operation
    elif call == "getdents64":
        it.operation = "processes" if it.path == "/proc" else f"list\t{it.path}"
    elif call == "read":
        it.operation = f"read\t{it.path}\t4096"
    else:
        it.operation = f"write\t{it.path}\t{found[2]}"
