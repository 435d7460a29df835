"""Steps with the doors of logins."""

from typing import NamedTuple

from paas_isolate.model import tree
from paas_isolate.model.steps.base import step


@step
class SetDoor(NamedTuple):
    """Let a uid's logins enter a leaf, or none. `was` is where they went before, None where there was no door."""

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
    """Take away the door of a uid that is no customer's any more. `was` is where it led."""

    name: str
    was: str

    @property
    def owner(self) -> str:
        return tree.account_of_door(self.was)

    def __str__(self) -> str:
        return f"remove door {self.name}"


@step
class CompleteDoors(NamedTuple):
    """Say that all doors are there: who has none is no customer, and none of our business."""

    @property
    def owner(self) -> str:
        return ""

    def __str__(self) -> str:
        return "say that all doors are there"
