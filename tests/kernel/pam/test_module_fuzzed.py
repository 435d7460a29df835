"""The module with random options and doors: it never crashes, never touches root, and leaves a customer outside only
where the administrator decided so."""

import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.module_doors import CUSTOMER, LEAF, PENALTY, RANGE, SERVICE_LEAF, Doors
from tests.support.kernel.pam_session import ENTERS, SANITIZERS, Built, build

pytestmark = pytest.mark.kernel

HIGHEST = 2**32 - 2

_text = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r#"), max_size=40)
"""libpam drops what follows a #, in brackets too."""

_number = st.one_of(
    st.sampled_from([0, 1, CUSTOMER - 1, CUSTOMER, CUSTOMER + 1, HIGHEST, HIGHEST + 1, 2**64, -1]).map(str),
    st.integers().map(str),
    _text,
)
_path = st.one_of(
    st.sampled_from(["/", "/proc/self", "/dev/null", "/x" * 300, "x"]), _text.map(lambda text: f"/{text}")
)
_option = st.one_of(
    st.builds("{}={}".format, st.sampled_from(["first_uid", "last_uid"]), _number),
    st.lists(_number, max_size=5).map(lambda numbers: f"exempt={','.join(numbers)}"),
    st.builds("{}={}".format, st.sampled_from(["doors", "penalty"]), _path),
    st.sampled_from(["on_failure=open", "on_failure=refuse", "on_failure=", "doors=", "=", "debug"]),
    _text,
)


class Door(NamedTuple):
    """What lies at a door's place: nothing, a link, or something that is no door."""

    kind: str
    target: str = ""


_door = st.one_of(
    st.builds(Door, st.sampled_from(["nothing", "file", "directory", "fifo", "itself"])),
    st.builds(Door, st.just("link"), st.sampled_from([LEAF, SERVICE_LEAF, PENALTY, "users", "closed/nobody", "/dev"])),
    st.builds(Door, st.just("link"), _text.filter(bool)),
)


class Case(NamedTuple):
    options: list[str]
    door: Door
    service_door: Door
    complete: bool
    penalty: bool = True


LINE_MOST = 700
"""Bytes of options: libpam before 1.6 takes no line of more than 1024, and then no stack at all."""

_case = st.builds(Case, st.lists(_option, max_size=4), _door, _door, st.booleans(), st.booleans()).filter(
    lambda case: len(" ".join(case.options).encode()) < LINE_MOST
)
_far = example(Case([f"penalty={'/x' * 300}"], Door("nothing"), Door("nothing"), complete=False, penalty=False))


@pytest.fixture
def doors(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> Doors:
    return Doors(tmp_path, _sanitized(tmp_path_factory), cgroups)


@_far
@given(_case)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_breaks_it(doors: Doors, case: Case) -> None:
    _tried(doors, case)


@pytest.mark.long
@_far
@given(_case)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=3000)
def test_nothing_breaks_it_in_many_tries(doors: Doors, case: Case) -> None:
    _tried(doors, case)


def _tried(doors: Doors, case: Case) -> None:
    _lay(doors, case)
    words = [_quoted(word) for word in case.options]
    if case.penalty:
        words.insert(0, f"penalty={doors.cgroups.root}/{PENALTY}")
    assert doors.session(*words, user="root", penalty=False) == (ENTERS, "", "")
    found = doors.session(*words, penalty=False)
    if found.answer == ENTERS and not found.cgroup:
        assert _may_be_out(doors, case), found


def _may_be_out(doors: Doors, case: Case) -> bool:
    """As the man page has it, said once more."""
    said = [word.partition("=") for word in (*RANGE, *case.options)]
    numbers = {key: int(value) for key, _, value in said if re.fullmatch("[0-9]+", value) and int(value) <= HIGHEST}
    if not numbers["first_uid"] <= CUSTOMER <= numbers["last_uid"]:
        return True
    exempt = [value for key, _, value in said if key == "exempt"]
    if exempt and any(re.fullmatch(rf"[ \t\n\v\f\r]*\+?0*{CUSTOMER}", each) for each in exempt[-1].split(",")):
        return True
    if [word for word in case.options if word in ("on_failure=open", "on_failure=refuse")][-1:] == ["on_failure=open"]:
        return True
    elsewhere = any(word.startswith("doors=/") for word in case.options)
    return not elsewhere and case.complete and case.door.kind == case.service_door.kind == "nothing"


def _lay(doors: Doors, case: Case) -> None:
    shutil.rmtree(doors.directory)
    doors.directory.mkdir()
    if case.complete:
        doors.complete.touch()
    for place, door in ((doors.door, case.door), (Path(f"{doors.door}.sshd"), case.service_door)):
        match door.kind:
            case "file":
                place.touch()
            case "directory":
                place.mkdir()
            case "fifo":
                os.mkfifo(place)
            case "itself":
                place.symlink_to(place)
            case "link":
                inside = door.target in (LEAF, SERVICE_LEAF, PENALTY, "users")
                place.symlink_to(f"{doors.cgroups.root}/{door.target}" if inside else door.target)


def _quoted(word: str) -> str:
    """As pam.conf(5) wants a word that may have spaces."""
    return f"[{word.replace(']', chr(92) + ']')}]"


_built: list[Built] = []


def _sanitized(places: pytest.TempPathFactory) -> Built:
    if not _built:
        _built.append(build(places.mktemp("fuzzed"), *SANITIZERS))
    return _built[0]
