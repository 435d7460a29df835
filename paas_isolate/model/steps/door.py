"""Steps for the doors of logins."""

from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.steps.base import step


@step
class SetDoor(NamedTuple):
    """Make or change a door: `target` is a leaf, a closed door or a view (model/tree.py). `was` is the old target, None
    where there was no door."""

    name: str
    target: str
    was: str | None = None

    @property
    def owner(self) -> str:
        return tree.account_of_door(self.target)

    def __str__(self) -> str:
        if tree.is_closed(self.target):
            return f"close door {self.name}"
        if tree.is_view(self.target):
            return f"open door {self.name} to the view of {tree.account_of_door(self.target)}"
        was = f" (was {self.was})" if self.was else ""
        return f"open door {self.name} to {self.target}{was}"


@step
class RemoveDoor(NamedTuple):
    """Remove the door of a uid that is no longer a customer's. `was` is its target."""

    name: str
    was: str

    @property
    def owner(self) -> str:
        return tree.account_of_door(self.was)

    def __str__(self) -> str:
        return f"remove door {self.name}"


@step
class CompleteDoors(NamedTuple):
    """Mark that all doors are there: the PAM module then ignores logins of a uid without a door."""

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return "say that all doors are there"
