"""One file while it is being read: collects every complaint, so that all mistakes are told at once."""

from collections.abc import Callable

from paas_isolate.errors import Complaint, SpecError
from paas_isolate.spec.names import MOST
from paas_isolate.spec.read import Items, Node, Pairs
from paas_isolate.text import excerpt, printable


class Diagnostics:
    """`file` as complaints name it."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.errors: list[Complaint] = []
        self.untold = 0

    def error(self, node: Node, key: str, text: str) -> None:
        self._add(node, key, lambda: text)

    def error_value(self, node: Node, key: str, expected: str) -> None:
        self._add(node, key, lambda: f"is {found(node)}; expected {expected}")

    def error_key(self, node: Node, place: str, name: str, known: list[str]) -> None:
        """A key that is not in the language."""
        self._add(node, below(place, printable(name)), lambda: _unknown(name, known))

    def raise_errors(self) -> None:
        """Raises SpecError with all errors in the order of the file; returns where there is none."""
        if not self.errors:
            return
        complaints = sorted(self.errors, key=lambda complaint: (complaint.line, complaint.column))
        if self.untold:
            complaints.append(Complaint(self.file, f"has {self.untold} more mistakes; mend these first"))
        raise SpecError(tuple(complaints))

    def _add(self, node: Node, key: str, text: Callable[[], str]) -> None:
        """A mistake; where enough has been told it is only counted, for its words may not be cheap."""
        if len(self.errors) < MOST:
            self.errors.append(Complaint(self.file, text(), node.line, node.column, key))
        else:
            self.untold += 1


def found(node: Node) -> str:
    match node:
        case Pairs():
            return "a mapping"
        case Items():
            return "a list"
    return "empty" if node.empty else excerpt(node.text)


def below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _unknown(name: str, known: list[str]) -> str:
    """What a complaint says of a key that is not in the language."""
    from difflib import get_close_matches  # only who mistypes pays for it

    if near := get_close_matches(name, known, n=1) or [key for key in known if name and key.startswith(name)]:
        return f"is not a key of this place; did you mean {near[0]}?"
    if len(known) == 1:
        return f"is not a key of this place; expected {known[0]} alone"
    return f"is not a key of this place; expected one of {', '.join(known)}"
