"""Carrying out the steps of doors."""

from typing import assert_never

from paas_isolate.linux.pam.doors import DoorDirectory
from paas_isolate.model.steps import DoorStep
from paas_isolate.model.steps.door import CompleteDoors, RemoveDoor, SetDoor


def apply_door_step(doors: DoorDirectory, step: DoorStep) -> None:
    """OSError where the directory of doors cannot be written."""
    match step:
        case SetDoor(name, target):
            doors.set(name, target)
        case RemoveDoor(name):
            doors.remove(name)
        case CompleteDoors():
            doors.complete()
        case _:
            assert_never(step)
