"""From strace's output to the list of operations that the floor carries out."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

CALLS = "openat,read,write,close,close_range,mkdirat,unlinkat,newfstatat,getdents64"

SPECS = "<specs>"
"""Stands for the directory of the specifications, which differs where the list is carried out."""

_LINE = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_AT = re.compile(r'(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, "((?:[^"\\]|\\.)*)"(?:, (\S+))?')
_RANGE = re.compile(r"(\d+)(?:<[^>]*>)?, (\d+)")
_ON = re.compile(r'(\d+)<[^>]*>(?:, "((?:[^"\\]|\\.)*)"(?:\.\.\.)?)?')


@dataclass
class _Open:
    path: str
    operation: str


def operations(trace: Iterable[str], root: str, specs: str) -> Iterator[str]:
    """The operations on the tree at `root` and on /proc, and the stat calls below `specs`, in order. All others are not
    the reconciler's work on the kernel and are left out, which lowers the floor."""
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


def scaled(recorded: Iterable[str], sample: str, names: Sequence[str], specs: str) -> Iterator[str]:
    """The operations of a small fleet, for a large one: what was done for the account `sample` is done for each of
    `names`, at the same place in the order. To trace the large one would take too long: strace slows an emulated
    machine a hundredfold."""
    account = re.compile(rf"{sample[:-5]}\d{{5}}")
    lines = (line.replace(SPECS, specs) for line in recorded)
    for name, run in groupby(lines, key=lambda line: found[0] if (found := account.search(line)) else ""):
        same = list(run)
        if not name:
            yield from same
        elif name == sample:
            for each in names:
                yield from (line.replace(sample, each) for line in same)


_VERBS = {"mkdirat": "mkdir", "unlinkat": "rmdir", "newfstatat": "stat"}


def _whole(base: str, path: str) -> str:
    return path if path.startswith("/") else f"{base}/{path}".removesuffix("/.").rstrip("/")


def _path(base: str, path: str, root: str) -> str:
    """A path relative to the tree's root, or /proc itself; '' for any other."""
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
    """close_range(2) as single closes, which keep the order of reads: the floor closes its files one by one."""
    if found := _RANGE.match(words):
        for descriptor in range(int(found[1]), int(found[2]) + 1):
            yield from _on("close", f"{descriptor}<>", opened)


def _on(call: str, words: str, opened: dict[str, _Open]) -> Iterator[str]:
    found = _ON.match(words)
    if not found or found[1] not in opened:
        return
    file = opened[found[1]]
    if call == "close":
        del opened[found[1]]
        if file.operation:
            yield file.operation
    elif call == "getdents64":
        file.operation = "processes" if file.path == "/proc" else f"list\t{file.path}"
    elif call == "read":
        file.operation = f"read\t{file.path}\t4096"
    else:
        file.operation = f"write\t{file.path}\t{found[2]}"
