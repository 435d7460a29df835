"""What all steps have in common: two are the same when they are of one kind and hold the same."""

from typing import Any, TypeVar

Kind = TypeVar("Kind", bound=type[Any])


def step(kind: Kind) -> Kind:
    """Make a named tuple a step: tuples are equal when what they hold is, whatever they are called.

    Steps are named tuples and no dataclasses, whose import takes a tenth of a run that finds nothing to do.
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
