"""Collects the complaints about one file, so that all its mistakes are reported at once."""

from collections.abc import Callable

from paas_isolate.errors import Complaint, SpecError
from paas_isolate.spec.names import MOST
from paas_isolate.spec.read import Items, Node, Pairs
from paas_isolate.text import excerpt, printable


class Diagnostics:
    """The errors of one file so far. `file` is its name in complaints."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[Complaint] = []
        self.omitted = 0
        """Errors beyond MOST: they are counted, not kept."""

    def error(self, node: Node, key: str, text: str) -> None:
        """An error at a node. `key` is the key path, `text` what the complaint says of it ("is empty; ...")."""
        self._add(node, key, lambda: text)

    def error_value(self, node: Node, key: str, expected: str) -> None:
        """A value that is not as expected."""
        self._add(node, key, lambda: f"is {found(node)}; expected {expected}")

    def error_key(self, node: Node, place: str, name: str, known: list[str], above: str = "") -> None:
        """A key that does not exist. `place` is the key path above it, `known` are the keys that exist there; `above`
        is the one of them below which there is such a key, if there is one."""
        self._add(node, below(place, printable(name)), lambda: _unknown(name, known, above))

    def raise_errors(self) -> None:
        """Raises SpecError with all errors in the order of the file; returns where there is none."""
        if not self.errors:
            return
        complaints = sorted(self.errors, key=lambda complaint: (complaint.line, complaint.column))
        if self.omitted:
            complaints.append(Complaint(self.file, f"has {self.omitted} more mistakes; mend these first"))
        raise SpecError(tuple(complaints))

    def _add(self, node: Node, key: str, text: Callable[[], str]) -> None:
        """`text` is called only for the first MOST errors: to find a similar key takes time."""
        if len(self.errors) < MOST:
            self.errors.append(Complaint(self.file, text(), node.line, node.column, key))
        else:
            self.omitted += 1


def found(node: Node) -> str:
    """What a complaint says of a node's value: `a list`, `empty`, or the text in quotes."""
    match node:
        case Pairs():
            return "a mapping"
        case Items():
            return "a list"
    return "empty" if node.empty else excerpt(node.text)


def below(key: str, name: str) -> str:
    """The key path of `name` below `key`; '' is the document itself."""
    return f"{key}.{name}" if key else name


def _unknown(name: str, known: list[str], above: str) -> str:
    if above:
        return f"is not a key of this place; it belongs below {above}"
    from difflib import get_close_matches  # imported for a wrong key alone

    if near := get_close_matches(name, known, n=1) or [key for key in known if name and key.startswith(name)]:
        return f"is not a key of this place; did you mean {near[0]}?"
    if len(known) == 1:
        return f"is not a key of this place; expected {known[0]} alone"
    return f"is not a key of this place; expected one of {', '.join(known)}"
