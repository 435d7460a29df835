"""What all steps have in common: two are equal when they have the same class and the same fields."""

from typing import Any, TypeVar

Kind = TypeVar("Kind", bound=type[Any])


def step(kind: Kind) -> Kind:
    """Class decorator: make a named tuple a step. Plain named tuples of two classes are equal when their fields are.

    Steps are not dataclasses: that import takes a tenth of the time of a run with nothing to do.
    """
    setattr(kind, "__eq__", _is_same)  # noqa: B010  (mypy refuses an assignment)
    setattr(kind, "__ne__", _differs)  # noqa: B010
    if "__hash__" not in vars(kind) or vars(kind)["__hash__"] is None:
        setattr(kind, "__hash__", _hash)  # noqa: B010
    return kind


def _is_same(one: tuple[Any, ...], other: object) -> bool:
    return type(one) is type(other) and tuple.__eq__(one, other)


def _differs(one: tuple[Any, ...], other: object) -> bool:
    return not _is_same(one, other)


def _hash(one: tuple[Any, ...]) -> int:
    return hash((type(one), tuple.__hash__(one)))
