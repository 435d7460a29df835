"""One file while it is being read: collects every complaint, so that all mistakes are told at once."""

from dataclasses import dataclass, field

from paas_isolate.errors import Complaint, SpecError
from paas_isolate.spec.names import shown
from paas_isolate.spec.read import Items, Node, Pairs


@dataclass(slots=True)
class Page:
    """`file` as complaints name it."""

    file: str
    complaints: list[Complaint] = field(default_factory=list)

    def refuse(self, node: Node, key: str, text: str) -> None:
        self.complaints.append(Complaint(self.file, text, node.line, node.column, key))

    def warn(self, node: Node, key: str, text: str) -> None:
        self.complaints.append(Complaint(self.file, text, node.line, node.column, key, warning=True))

    def refuse_value(self, node: Node, key: str, expected: str) -> None:
        self.refuse(node, key, f"is {found(node)}; expected {expected}")

    def warnings(self) -> tuple[Complaint, ...]:
        """The warnings, when nothing was refused. Raises SpecError with everything otherwise."""
        complaints = tuple(sorted(self.complaints, key=lambda complaint: (complaint.line, complaint.column)))
        if not all(complaint.warning for complaint in complaints):
            raise SpecError(complaints)
        return complaints


def found(node: Node) -> str:
    match node:
        case Pairs():
            return "a mapping"
        case Items():
            return "a list"
    return "empty" if node.empty else shown(node.text)


def below(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def unknown(name: str, known: list[str]) -> str:
    """What a complaint says of a key that is not in the language."""
    from difflib import get_close_matches  # only who mistypes pays for it

    if near := get_close_matches(name, known, n=1) or [key for key in known if name and key.startswith(name)]:
        return f"is not a key of this place; did you mean {near[0]}?"
    if len(known) == 1:
        return f"is not a key of this place; expected {known[0]} alone"
    return f"is not a key of this place; expected one of {', '.join(known)}"
