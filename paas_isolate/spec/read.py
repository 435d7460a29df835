"""Bytes to nodes with line and column, through the parser's events and never through YAML's own types.

PyYAML takes duplicate keys, `no`, `010` and `1:30` silently, merge keys can explode (pyyaml issue 897),
and compose() recurses in C for as deep as a file nests. So nodes are made here, in one loop with caps.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from paas_isolate.errors import Complaint, SpecError
from paas_isolate.spec.names import SIZE_CAP
from paas_isolate.text import escaped, excerpt, printable

DEPTH_CAP = 16
NODE_CAP = 10_000

# Controls, bidi overrides, zero-width and other characters that make a file look different from what it says
# (CVE-2021-42574). Tab, line feed, and carriage return before a line feed are left.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff"
    "\U000e0000-\U000e0fff]|\r(?!\n)"
)


class Scalar(NamedTuple):
    """Text as written, before anybody says what it means. `plain`: without quotes."""

    line: int
    column: int
    text: str
    plain: bool

    @property
    def empty(self) -> bool:
        return self.plain and self.text in ("", "~", "null")


class Items(NamedTuple):
    """A list."""

    line: int
    column: int
    items: list["Node"]


class Pairs(NamedTuple):
    """A mapping; its keys are scalars and differ from each other."""

    line: int
    column: int
    pairs: dict[str, tuple[Scalar, "Node"]]


Node = Scalar | Items | Pairs


def read(data: bytes, file: str) -> Node | None:
    """The one document of a file; None where it has none. Raises SpecError."""
    text = _text(data, file)
    end = text.count("\n") + 1, len(text) - text.rfind("\n")
    from yaml import YAMLError, parse  # 45 ms, which a run that finds nothing changed does not pay

    try:
        from yaml import CSafeLoader as Loader
    except ImportError:  # built without libyaml: slower, and the same events
        from yaml import SafeLoader as Loader  # type: ignore[assignment]
    try:
        return _Composer(file, end).compose(parse(text, Loader=Loader))
    except YAMLError as wrong:
        problem = getattr(wrong, "problem", None) or getattr(wrong, "reason", None) or "not YAML"
        mark = getattr(wrong, "problem_mark", None)
        if "nesting depth" in str(problem) and mark is not None:  # libyaml of late stops at 1,000 brackets read ahead:
            with suppress(YAMLError):  # what stands before them is refused in our words
                _Composer(file, end).compose(parse(text[: mark.index], Loader=Loader))
        refuse(file, f"{escaped(problem)}; expected YAML", *_place(mark, end))
    except (ValueError, OverflowError):  # the parser without libyaml, of numbers that are too large for it
        refuse(file, "has a number that is too large; expected YAML")


def _place(mark: Any, end: tuple[int, int]) -> tuple[int, int]:
    """Line and column of a parser's mark, no further than `end`: libyaml may stumble behind a new line of its own."""
    return min((mark.line + 1, mark.column + 1), end) if mark is not None else (0, 0)


def refuse(file: str, text: str, line: int = 0, column: int = 0, key: str = "") -> NoReturn:
    raise SpecError((Complaint(file, text, line, column, key),))


def _text(data: bytes, file: str) -> str:
    if len(data) > SIZE_CAP:
        refuse(file, f"has {len(data)} bytes; expected at most {SIZE_CAP // 1024}K")
    if data.startswith(b"\xef\xbb\xbf"):
        refuse(file, "begins with a byte order mark; expected UTF-8 without one", 1, 1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        column = wrong.start - data.rfind(b"\n", 0, wrong.start)
        refuse(file, f"has byte 0x{data[wrong.start]:02x}, which is not UTF-8; expected UTF-8", line, column)
    if found := _HIDDEN.search(text):
        line, start = text.count("\n", 0, found.start()) + 1, text.rfind("\n", 0, found.start())
        refuse(file, _hidden(found[0]), line, found.start() - start)
    for line, words in enumerate(text.split("\n"), 1):
        if words.startswith("%"):  # libyaml compares each %TAG with all before it
            refuse(file, "a directive begins here; leave it out", line, 1)
        if words.strip() and not words.startswith("#"):
            break
    return text


def _hidden(character: str) -> str:
    return f"has the character U+{ord(character):04X}, which cannot be seen; expected text without it"


class _Composer:
    """One loop over the events: no recursion, so that the caps hold before the stack does not."""

    def __init__(self, file: str, end: tuple[int, int]) -> None:
        self.file = file
        self.end = end
        self.open: list[Items | Pairs] = []
        self.keys: list[Scalar | None] = []
        self.root: Node | None = None
        self.count = 0

    def compose(self, events: Iterator[Any]) -> Node | None:
        documents = 0
        for event in events:
            match type(event).__name__:
                case "ScalarEvent":
                    self.add(self.scalar(event))
                case "MappingStartEvent":
                    self.enter(Pairs(*self.place(event), {}), event)
                case "SequenceStartEvent":
                    self.enter(Items(*self.place(event), []), event)
                case "MappingEndEvent" | "SequenceEndEvent":
                    self.open.pop()
                    self.keys.pop()
                case "AliasEvent":
                    self.refuse(event, f"*{printable(event.anchor)} is an alias; write the value out")
                case "DocumentStartEvent":
                    documents += 1
                    if documents > 1:
                        self.refuse(event, "a second document begins here; expected one a file")
        return self.root

    def place(self, event: Any) -> tuple[int, int]:
        return _place(event.start_mark, self.end)

    def refuse(self, event: Any, text: str) -> NoReturn:
        refuse(self.file, text, *self.place(event))

    def check(self, event: Any) -> None:
        if event.anchor is not None:
            self.refuse(event, f"&{printable(event.anchor)} is an anchor; leave it out")
        if event.tag is not None:
            self.refuse(event, f"{excerpt(event.tag)} is a tag; leave it out")
        self.count += 1
        if self.count > NODE_CAP:
            self.refuse(event, f"more than {NODE_CAP} values; expected a smaller file")

    def scalar(self, event: Any) -> Scalar:
        self.check(event)
        if found := _HIDDEN.search(event.value):
            self.refuse(event, _hidden(found[0]))
        return Scalar(*self.place(event), event.value, event.style in (None, ""))

    def enter(self, node: Items | Pairs, event: Any) -> None:
        self.check(event)
        if len(self.open) >= DEPTH_CAP:
            self.refuse(event, f"nested deeper than {DEPTH_CAP} levels; expected a flatter file")
        self.add(node)
        self.open.append(node)
        self.keys.append(None)

    def add(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent, Items):
            parent.items.append(node)
        elif key := self.keys[-1]:
            parent.pairs[key.text] = (key, node)
            self.keys[-1] = None
        else:
            self.keys[-1] = self.key(parent, node)

    def key(self, parent: Pairs, node: Node) -> Scalar:
        if not isinstance(node, Scalar):
            refuse(self.file, "a list or mapping stands where a key is expected", node.line, node.column)
        if node.plain and node.text == "<<":
            refuse(self.file, "<< is a merge key; write the keys out", node.line, node.column)
        if earlier := parent.pairs.get(node.text):
            text = f"{excerpt(node.text)} is here a second time (first in line {earlier[0].line}); keep one"
            refuse(self.file, text, node.line, node.column)
        return node


def read_again(data: bytes) -> Node | None:
    """What was parsed before, for the place of a mistake that shows only after merging: the model keeps no lines.
    None when the file has changed since: the place is lost, the complaint is not."""
    try:
        return read(data, "")
    except SpecError:
        return None


def locate(node: Node | None, key: str) -> tuple[int, int]:
    """Line and column of a key path (`services.web.limits.memory.max`, `users[1]`), as deep as it exists.

    (0, 0) where the file does not say it.
    """
    place = (0, 0)
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", key):
        if isinstance(node, Pairs) and name in node.pairs:
            node = node.pairs[name][1]
        elif isinstance(node, Items) and index and int(index) < len(node.items):
            node = node.items[int(index)]
        else:
            break
        place = (node.line, node.column)
    return place
