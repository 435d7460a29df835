"""One file while it is being read: collects every complaint, so that all mistakes are told at once."""

from dataclasses import dataclass, field

from paas_isolate.errors import Complaint, SpecError
from paas_isolate.spec.names import printable, shown
from paas_isolate.spec.read import Items, Node, Pairs

MOST = 100
"""Mistakes of one file that are told, and warnings: nobody reads more at once."""


@dataclass(slots=True)
class Page:
    """`file` as complaints name it."""

    file: str
    mistakes: list[Complaint] = field(default_factory=list)
    warned: list[Complaint] = field(default_factory=list)
    untold: int = 0

    def refuse(self, node: Node, key: str, text: str) -> None:
        if not self._full():
            self.mistakes.append(Complaint(self.file, text, node.line, node.column, key))

    def warn(self, node: Node, key: str, text: str) -> None:
        if len(self.warned) < MOST:
            self.warned.append(Complaint(self.file, text, node.line, node.column, key, warning=True))

    def refuse_value(self, node: Node, key: str, expected: str) -> None:
        if not self._full():
            text = f"is {found(node)}; expected {expected}"
            self.mistakes.append(Complaint(self.file, text, node.line, node.column, key))

    def refuse_key(self, node: Node, place: str, name: str, known: list[str]) -> None:
        """A key that is not in the language; looking for the nearest one is not cheap."""
        if not self._full():
            self.mistakes.append(
                Complaint(self.file, _unknown(name, known), node.line, node.column, below(place, printable(name)))
            )

    def warnings(self) -> tuple[Complaint, ...]:
        """The warnings, when nothing was refused. Raises SpecError with everything otherwise."""
        complaints = sorted((*self.mistakes, *self.warned), key=lambda complaint: (complaint.line, complaint.column))
        if self.untold:
            complaints.append(Complaint(self.file, f"has {self.untold} more mistakes; mend these first"))
        if self.mistakes:
            raise SpecError(tuple(complaints))
        return tuple(complaints)

    def _full(self) -> bool:
        """Whether enough has been told; then this one is only counted."""
        full = len(self.mistakes) >= MOST
        self.untold += full
        return full


def found(node: Node) -> str:
    match node:
        case Pairs():
            return "a mapping"
        case Items():
            return "a list"
    return "empty" if node.empty else shown(node.text)


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
