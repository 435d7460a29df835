"""The directory of the doors, with unexpected things in it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paas_isolate.linux.pam.doors import NO_DOOR, DoorDirectory
from paas_isolate.model.world import COMPLETE


@pytest.fixture
def doors(tmp_path: Path) -> DoorDirectory:
    return DoorDirectory(str(tmp_path / "run" / "doors"), "/cgroup/tree")


def here(doors: DoorDirectory) -> Path:
    return Path(doors.directory)


def test_what_is_set_is_seen(doors: DoorDirectory) -> None:
    assert doors.observe() == {}
    doors.set("1001", "users/alice/login")
    doors.set("1002", "closed/bob")
    doors.complete()
    assert doors.observe() == {"1001": "users/alice/login", "1002": "closed/bob", COMPLETE: ""}
    assert os.readlink(here(doors) / "1001") == "/cgroup/tree/users/alice/login"
    assert os.readlink(here(doors) / "1002") == "closed/bob"
    assert here(doors).stat().st_mode & 0o777 == 0o700
    doors.set("1001", "closed/alice")
    doors.remove("1002")
    doors.remove("1002")
    assert doors.observe() == {"1001": "closed/alice", COMPLETE: ""}


def a_file(place: Path) -> None:
    place.touch()


def a_fifo(place: Path) -> None:
    os.mkfifo(place)


def a_loop(place: Path) -> None:
    place.symlink_to(place)


def nowhere(place: Path) -> None:
    place.symlink_to("/no/such/place")


@pytest.mark.parametrize("sabotage", [a_file, a_fifo, a_loop, nowhere])
@pytest.mark.parametrize("first", ["set", "complete"])
def test_what_lies_in_the_place_of_the_directory_goes(
    doors: DoorDirectory, sabotage: Callable[[Path], None], first: str
) -> None:
    here(doors).parent.mkdir()
    sabotage(here(doors))
    assert doors.observe() == {}
    if first == "set":
        doors.set("1001", "users/alice/login")
    doors.complete()
    assert doors.observe().keys() - {"1001"} == {COMPLETE}


def test_what_lies_in_the_place_of_a_door_goes(doors: DoorDirectory) -> None:
    doors.complete()
    (here(doors) / "1001").touch()
    (here(doors) / "1002").mkdir()
    (here(doors) / f".new{os.getpid()}").touch()
    (here(doors) / "left").mkdir()
    assert doors.observe() == {
        "1001": NO_DOOR,
        "1002": NO_DOOR,
        f".new{os.getpid()}": NO_DOOR,
        "left": NO_DOOR,
        COMPLETE: "",
    }
    for name in ("1001", "1002"):
        doors.set(name, "users/alice/login")
    for name in (f".new{os.getpid()}", "left"):
        doors.remove(name)
    assert doors.observe() == {"1001": "users/alice/login", "1002": "users/alice/login", COMPLETE: ""}
