"""Reads the bytes of a YAML file into nodes with line and column.

Nodes are made from the events of PyYAML's parser, in one loop with caps on depth and count. PyYAML's own loaders take
duplicate keys, `no`, `010` and `1:30` silently, their merge keys can expand without bound (pyyaml issue 897), and
compose() recurses in C as deep as a file nests.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from paas_isolate.errors import Complaint, SpecError
from paas_isolate.spec.names import SIZE_CAP
from paas_isolate.text import escaped, excerpt, printable

DEPTH_CAP = 16
"""The deepest nesting of lists and mappings."""
NODE_CAP = 10_000
"""The most scalars, lists and mappings in one file."""

# Control characters, bidi overrides, zero-width and other characters by which a file looks different from what it says
# (CVE-2021-42574). Tab, line feed, and carriage return before a line feed are allowed.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff"
    "\U000e0000-\U000e0fff]|\r(?!\n)"
)


class Scalar(NamedTuple):
    """Text as it is in the file. `plain`: without quotes."""

    line: int
    column: int
    text: str
    plain: bool

    @property
    def empty(self) -> bool:
        """Whether it is nothing, `~` or `null`."""
        return self.plain and self.text in ("", "~", "null")


class Items(NamedTuple):
    """A list."""

    line: int
    column: int
    items: list["Node"]


class Pairs(NamedTuple):
    """A mapping, by the text of its keys, which are scalars and unique: each key with its value."""

    line: int
    column: int
    pairs: dict[str, tuple[Scalar, "Node"]]


Node = Scalar | Items | Pairs


def read(data: bytes, file: str) -> Node | None:
    """The one document of a file; None where it has none. `file` is its name in complaints. Raises SpecError where it
    is too large, is not UTF-8 or YAML, or uses parts of YAML that are refused here (anchors, tags, merge keys)."""
    text = _text(data, file)
    end = text.count("\n") + 1, len(text) - text.rfind("\n")
    from yaml import YAMLError, parse  # takes 45 ms: not imported in a run in which nothing has changed

    try:
        from yaml import CSafeLoader as Loader
    except ImportError:  # PyYAML without libyaml: slower, with the same events
        from yaml import SafeLoader as Loader  # type: ignore[assignment]
    try:
        return _Composer(file, end).compose(parse(text, Loader=Loader))
    except YAMLError as wrong:
        problem = getattr(wrong, "problem", None) or getattr(wrong, "reason", None) or "not YAML"
        mark = getattr(wrong, "problem_mark", None)
        if "nesting depth" in str(problem) and mark is not None:  # recent libyaml stops at 1,000 open brackets
            with suppress(YAMLError):  # our own cap is exceeded before that place: complain of that
                _Composer(file, end).compose(parse(text[: mark.index], Loader=Loader))
        refuse(file, f"{escaped(problem)}; expected YAML", *_place(mark, end))
    except (ValueError, OverflowError):  # PyYAML without libyaml raises these for numbers that are too large
        refuse(file, "has a number that is too large; expected YAML")


def _place(mark: Any, end: tuple[int, int]) -> tuple[int, int]:
    """Line and column of a parser's mark, at most `end`: libyaml may report a place behind the end of the file."""
    return min((mark.line + 1, mark.column + 1), end) if mark is not None else (0, 0)


def refuse(file: str, text: str, line: int = 0, column: int = 0, key: str = "") -> NoReturn:
    """Raises SpecError with one complaint."""
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
    if match := _HIDDEN.search(text):
        line, start = text.count("\n", 0, match.start()) + 1, text.rfind("\n", 0, match.start())
        refuse(file, _hidden(match[0]), line, match.start() - start)
    for number, line_text in enumerate(text.split("\n"), 1):
        if line_text.startswith("%"):  # libyaml compares each %TAG with all before it, which takes quadratic time
            refuse(file, "a directive begins here; leave it out", number, 1)
        if line_text.strip() and not line_text.startswith("#"):
            break
    return text


def _hidden(character: str) -> str:
    return f"has the character U+{ord(character):04X}, which cannot be seen; expected text without it"


class _Composer:
    """Makes nodes of the parser's events, in one loop: without recursion the stack cannot overflow before a cap."""

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
        if match := _HIDDEN.search(event.value):  # by an escape, such as "\u200b"
            self.refuse(event, _hidden(match[0]))
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
    """The nodes of a file that was parsed before, for the place of a mistake that shows only after merging: the model
    has no lines. None where the file has been changed and is wrong now: the complaint then has no place."""
    try:
        return read(data, "")
    except SpecError:
        return None


def locate(node: Node | None, key: str) -> tuple[int, int]:
    """Line and column of a key path (`services.web.limits.memory.max`, `users[1]`), or of the deepest part of it that
    exists; (0, 0) where none does."""
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
