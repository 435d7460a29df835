"""Hostile files, as data: how each is made, and part of the complaint about it."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.refused_files import REFUSED

FILE = "bob.yaml"
BOB = b"account: bob\n"
TREASURE = "treasure"

Spoil = Callable[[Path], object]


class Case(NamedTuple):
    """`make` makes the file; `told` is part of what is complained of then."""

    make: Spoil
    told: str
    name: str = FILE


def says(data: bytes, told: str, name: str = FILE) -> Case:
    return Case(lambda path: path.write_bytes(data), told, name)


def bob(text: bytes, told: str) -> Case:
    return says(BOB + text, told)


def many(each: str, numbers: Iterable[int], between: str = ", ") -> bytes:
    return between.join(each.format(number) for number in numbers).encode()


def foreign(path: Path) -> Path:
    """What somebody else may read and the author of a link may not."""
    target = path.parent.parent / "shadow"
    target.write_text(f"account: bob\n{TREASURE}: [\n")
    return target


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 10 << 30)


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o020644, os.makedev(1, 5))  # /dev/zero: whoever reads it to its end reads for ever
    except PermissionError:
        pytest.skip("needs root for a device")


def laughs() -> bytes:
    """Ten to the ninth of them, were it written out."""
    lines = [
        b'a0: &a0 ["lol"]\n',
        *(b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 10)),
    ]
    return b"".join(lines)


def merges() -> bytes:
    """PyYAML issue 897."""
    lines = [
        b"a0: &a0 {k: v}\n",
        *(b"a%d: &a%d {<<: [%s]}\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 10)),
    ]
    return b"".join(lines)


DEEP = "nested deeper than 16 levels"

FILES = {
    "symbolic link": Case(lambda path: path.symlink_to(foreign(path)), "is a symbolic link"),
    "symbolic link to a device": Case(lambda path: path.symlink_to("/dev/zero"), "is a symbolic link"),
    "symbolic link to itself": Case(lambda path: path.symlink_to(path), "is a symbolic link"),
    "hard link": Case(lambda path: os.link(foreign(path), path), "has 2 hard links"),
    "fifo": Case(os.mkfifo, "is a device, fifo or socket"),
    "directory": Case(Path.mkdir, "is a directory"),
    "device": Case(device, "is a device, fifo or socket"),
    "sparse": Case(sparse, "has 10737418240 bytes; expected at most 256K"),
    "a million keys": Case(lambda path: path.write_bytes(many("k{0}: 1", range(10**6), "\n")), "expected at most 256K"),
}
BYTES = {
    **{f"refused, {name}": says(data, told) for name, (data, told) in REFUSED.items()},
    "alias bomb": says(laughs(), "1:5: &a0 is an anchor"),
    "merge-key bomb": says(merges(), "1:5: &a0 is an anchor"),
    "merge key of a mapping": bob(b"limits: {<<: {pids: 5}}\n", "<< is a merge key"),
    "100,000 lists": says(b"[" * 100_000, DEEP),
    "100,000 dashes": says(b"- " * 100_000, DEEP),
    "100,000 mappings": says(b"{a: " * 100_000, "expected at most 256K"),
    "100,000 lists in mappings": says(b"{a: [" * 50_000, DEEP),
    "100,000 mappings as keys": says(b"[{" * 100_000, "a list or mapping stands where a key is expected"),
    "100,000 keys of keys": says(b"? " * 100_000, "a list or mapping stands where a key is expected"),
    "a list for each line": says(b"".join(b" " * depth + b"-\n" for depth in range(700)), DEEP),
    "a mapping for each line": says(b"".join(b" " * depth + b"a:\n" for depth in range(700)), DEEP),
    "as many keys as fit": says(many("k{0}: ", range(24_000), "\n"), "more than 10000 values"),
    "keys that nobody knows": bob(many("k{0}: 1", range(4_900), "\n"), "is not a key of this place"),
    "keys that are almost known": bob(
        b"services:\n w:\n" + many("  environmenz{0}: 1", range(4_900), "\n"), "did you mean environment?"
    ),
    "values that are wrong": bob(b"users: [" + b"'!', " * 9_900 + b"]\n", "expected the name of a Unix user"),
    "a key twice": bob(b"plan: p\nplan: q\n", "is here a second time"),
    "a key twice, deep": bob(b"limits: {cpu: {max: 5%, max: 6%}}\n", "'max' is here a second time"),
    "one key for ever": says(b"a: 1\n" * 50_000, "'a' is here a second time"),
    "tag directives": says(
        many("%TAG !{0}! x", range(15_000), "\n") + b"\n--- a\n", "a directive begins here; leave it out"
    ),
    "tag of a number": bob(b"limits: {pids: !!int 5}\n", "is a tag; leave it out"),
    "tag of an object": bob(b"plan: !!python/object/apply:os.system [id]\n", "is a tag; leave it out"),
    "anchor of 200 kB": bob(b"plan: &" + b"a" * 200_000 + b" p\n", "is an anchor; leave it out"),
    "alias of 200 kB": bob(b"plan: *" + b"a" * 200_000 + b"\n", "is an alias; write the value out"),
    "word of 200 kB": bob(b"plan: " + b"a" * 200_000 + b"\n", "expected a name"),
    "key of 1 kB": bob(b"a" * 1_000 + b": 1\n", "is not a key of this place"),
    "byte order mark": says(b"\xef\xbb\xbf" + BOB, "begins with a byte order mark"),
    "byte order mark within": bob("plan: p\ufeff\n".encode(), "has the character U+FEFF"),
    "UTF-16": says(BOB.decode().encode("utf-16"), "is not UTF-8"),
    "NUL": bob(b"plan: p\0\n", "has the character U+0000"),
    "NULs alone": says(b"\0" * 200_000, "has the character U+0000"),
    "terminal": bob(b"plan: \x1b[2J\n", "has the character U+001B"),
    "terminal of 8 bits": bob("plan: \x9b2J\n".encode(), "has the character U+009B"),
    "bidi": bob("plan: \u202ep\n".encode(), "has the character U+202E"),
    "bidi isolate in a comment": bob("# \u2066p\n".encode(), "has the character U+2066"),
    "tag characters": bob("plan: p\U000e0041\n".encode(), "has the character U+E0041"),
    "filler that is a letter": bob("plan: p\u3164\n".encode(), "plan is"),
    "variation selector": bob("plan: p\ufe0f\n".encode(), "plan is"),
    "users named twice, at length": bob(
        b"users: [bob, " + many("u{0}, u{0}", range(4_900)) + b"]\n", "more than once; keep one"
    ),
    "owner of many": says(
        BOB + b"owner: eve\nusers: [" + many("user-{0}", range(9_000)) + b"]\n", "one of the account's users"
    ),
    "owner of none of many": bob(b"users: [" + many("user-{0}", range(1_000)) + b"]\n", "owner is missing"),
    "users who do not exist": bob(
        b"users: [bob, " + many("u{0}", range(1_000)) + b"]\n", "who is no user of this machine"
    ),
    "conflicts": bob(
        b"services: {" + many("s{0}: {{limits: {{cpu: 9}}}}", range(300)) + b"}\n", "and this machine has 2"
    ),
    "cores over and over": bob(
        b"services:\n"
        + many(f" s{{0}}: {{{{limits: {{{{cpu: {{{{set: '{','.join(['0-8191'] * 140)}'}}}}}}}}}}}}", range(40), "\n"),
        "do not exist",
    ),
}
LIMITS = (("pids", ""), ("memory", ""), ("cpu", ""), ("io", ""), ("cpu", "weight"), ("cpu", "set"), ("memory", "kill"))
NUMBERS = (
    *("no", "010", "1:30", "1:30:00", ".nan", ".NaN", ".inf", "-.inf"),
    *("-1", "1e9", "0x10", "0o10", "1_000", "\u0663"),
)
WORDS = {
    f"{key} {value}": bob(f"{key}: {value}\n".encode(), told)
    for key, told, values in (
        ("limits", "expected a mapping", ("no", "010", "1:30", ".nan")),
        ("suspended", "expected true or false", ("no", "yes", "on", "off", "y", "0", "TRUE")),
        ("plan", "there is no such plan", ("no", "010")),
        ("plan", "expected a name", ("1:30", ".inf", "../p", "p/../p", "memory.max", "'p '", "-p", "NO")),
        ("users", "expected a list", ("no", "010", "1:30")),
        ("users", "no user of this machine", ("[no]", "[010]", "[memory.max]", "[cgroup.procs]")),
        ("users", "expected the name of a Unix user", ("[1:30]", "[../bob]", "[.inf]", "['bob,eve']", "[-1]")),
        ("renamed_from", "expected a name", ("../bob", "memory.max", "cgroup.procs", "..", "/", "''")),
        ("owner", "expected the name of a Unix user", ("../bob", "1:30", ".nan")),
    )
    for value in values
} | {
    f"limits {key} {short} {value}": bob(
        f"limits: {{{key}: {{{short}: {value}}}}}\n".encode(), f"limits.{key}.{short} is"
    )
    if short
    else bob(f"limits: {{{key}: {value}}}\n".encode(), f"limits.{key} is")
    for key, short in LIMITS
    for value in NUMBERS
}
NAMES = {
    "account ../x": says(b"account: ../x\n", "account is '../x'; expected a name"),
    "account memory.max": says(b"account: memory.max\n", "account is 'memory.max'; expected a name"),
    "account no": says(b"account: no\n", "expected bob, like the file's name"),
    "account 010": says(b"account: 010\n", "expected bob, like the file's name"),
    "service ../x": bob(b"services: {../x: {}}\n", "is no name for a service"),
    "service memory.max": bob(b"services: {memory.max: {}}\n", "is no name for a service"),
    "service, bidi escaped": bob(rb'services: {"\u202ex": {}}', "has the character U+202E"),
} | {
    f"file {name!a}": says(b"account: bob\n", "is no name for a file here", name)
    for name in (
        *("memory.max.yaml", "cgroup.procs.yaml", "-rf.yaml", " bob.yaml", "bob .yaml", "Bob.yaml", "b*.yaml"),
        *("bob\n.yaml", "bob\nall is well.yaml", "bob\r.yaml", "bob\t.yaml", "bob\x1b[2J.yaml", "bob\x7f.yaml"),
        *("bob\x9b2J.yaml", "\u202ebob.yaml", "bob\u200b.yaml", "\u3164.yaml", "caf\udce9.yaml"),
        *("~.yaml", "%s{0}$(id).yaml", "b" * 250 + ".yaml"),
    )
}
NAMES["file 'bob\\x1b[2J.yml'"] = says(BOB, "is not read; name it", "bob\x1b[2J.yml")
CASES = FILES | BYTES | WORDS | NAMES
