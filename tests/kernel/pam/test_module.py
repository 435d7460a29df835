"""The PAM module in real PAM transactions: a customer lands in a leaf, and nothing that is broken lets a customer stay
outside or keeps anybody else out. `nobody` plays the customer, so that no user need be made."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.module_doors import LEAF, PENALTY, SERVICE_LEAF, Doors
from tests.support.kernel.pam_session import ENTERS, QUIET, REFUSED, SANITIZERS, Built, build

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("sanitized"), *SANITIZERS)


@pytest.fixture
def doors(tmp_path: Path, sanitized: Built, cgroups: CgroupTree) -> Doors:
    return Doors(tmp_path, sanitized, cgroups)


def test_a_customer_lands_in_the_leaf(doors: Doors) -> None:
    assert doors.session() == (ENTERS, "", LEAF)


def test_the_door_of_a_service_comes_first(doors: Doors) -> None:
    doors.lay(SERVICE_LEAF, "sshd")
    assert doors.session(service="sshd").cgroup == SERVICE_LEAF
    assert doors.session(service="su").cgroup == LEAF


@pytest.mark.parametrize(
    ("options", "service", "user"),
    [
        ((), "sshd", "root"),
        ((), "sshd", "daemon"),  # below the range
        (("exempt=3,65534",), "sshd", "nobody"),
        ((), "dovecot", "nobody"),  # its workers open sessions for many
    ],
)
@pytest.mark.parametrize("broken", [False, True])
def test_root_exempt_users_and_other_services_are_left_alone(
    doors: Doors, options: tuple[str, ...], service: str, user: str, broken: bool
) -> None:
    if broken:
        doors.complete.unlink()
        doors.lay("/nowhere")
    assert doors.session(*options, service=service, user=user) == (ENTERS, "", "")
    trace = ["strace", "-f", "-qq", "-y", *doors.command(*options, service=service, user=user)]
    seen = subprocess.run(trace, capture_output=True, text=True, env=QUIET)
    assert seen.returncode == 0, seen.stderr
    assert str(doors.directory) not in seen.stderr.replace(str(doors.confdir), "")


def test_a_user_without_a_door_is_no_customer(doors: Doors) -> None:
    doors.door.unlink()
    assert doors.session() == (ENTERS, "", "")


def test_a_user_without_a_door_enters_the_penalty_leaf_when_asked(doors: Doors) -> None:
    doors.door.unlink()
    assert doors.session("without_account=penalty").cgroup == PENALTY
    assert doors.session("without_account=penalty", penalty=False) == (ENTERS, "", "")
    assert doors.session("without_account=leave") == (ENTERS, "", "")


def nothing(doors: Doors) -> None:
    doors.door.unlink()
    doors.complete.unlink()


def no_directory(doors: Doors) -> None:
    nothing(doors)
    doors.directory.rmdir()


def a_file(doors: Doors) -> None:
    no_directory(doors)
    doors.directory.touch()


def a_fifo(doors: Doors) -> None:
    no_directory(doors)
    os.mkfifo(doors.directory)


def a_loop(doors: Doors) -> None:
    no_directory(doors)
    doors.directory.symlink_to(doors.directory)


def no_leaf(doors: Doors) -> None:
    doors.cgroups.remove(LEAF)


def no_link(doors: Doors) -> None:
    doors.door.unlink()
    doors.door.touch()


def a_door_to_itself(doors: Doors) -> None:
    doors.lay(str(doors.door))


def a_service_door_that_is_no_link(doors: Doors) -> None:
    Path(f"{doors.door}.sshd").mkdir()


def another_file_system(doors: Doors) -> None:
    trap = doors.directory.parent / "trap"
    trap.mkdir()
    (trap / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    (trap / "cgroup.procs").touch()
    doors.lay(str(trap))


def fifos(doors: Doors) -> None:
    trap = doors.directory.parent / "trap"
    trap.mkdir()
    os.mkfifo(trap / "cgroup.events")
    os.mkfifo(trap / "cgroup.procs")
    doors.lay(str(trap))


def a_directory_of_proc(doors: Doors) -> None:
    doors.lay("/proc/self")


SABOTAGES = (
    *(nothing, no_directory, a_file, a_fifo, a_loop, no_leaf, no_link, a_door_to_itself),
    *(a_service_door_that_is_no_link, another_file_system, fifos, a_directory_of_proc),
)


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_door_that_does_not_open_leads_to_the_penalty_leaf(doors: Doors, sabotage: Callable[[Doors], None]) -> None:
    sabotage(doors)
    assert doors.session() == (ENTERS, "", PENALTY)
    refused = doors.session(penalty=False)
    assert (refused.answer, refused.cgroup) == (REFUSED, "")
    assert "not possible at the moment" in refused.said
    assert doors.session("on_failure=open", penalty=False) == (ENTERS, "", "")


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_root_can_log_in_whatever_is_broken(doors: Doors, sabotage: Callable[[Doors], None]) -> None:
    sabotage(doors)
    assert doors.session(user="root", penalty=False) == (ENTERS, "", "")


def test_a_closed_account_is_refused_in_words(doors: Doors) -> None:
    doors.lay("closed")
    for options in ((), ("on_failure=open",)):
        refused = doors.session(*options)
        assert (refused.answer, refused.cgroup) == (REFUSED, "")
        assert "suspended" in refused.said
    doors.lay(LEAF)
    doors.lay("closed", "su")
    assert doors.session(service="su").answer == REFUSED
    assert doors.session(service="sshd").cgroup == LEAF


def test_a_frozen_leaf_is_refused_and_not_entered(doors: Doors) -> None:
    doors.cgroups.write("users/alice", "cgroup.freeze", "1")
    refused = doors.session("on_failure=open")
    assert (refused.answer, refused.cgroup) == (REFUSED, "")
    doors.cgroups.write("users/alice", "cgroup.freeze", "0")
    assert doors.session().cgroup == LEAF


@pytest.mark.parametrize(
    "options",
    [
        ("unheard=of",),
        ("first_uid=", "last_uid=x", "first_uid=-1", "last_uid=99999999999999999999", "exempt=", "penalty=x", "doors="),
        ("exempt=,,65533,655340,x65534,65534x,-1", "on_failure=maybe", "=", "debug"),
    ],
)
def test_options_that_mean_nothing_are_passed_over(doors: Doors, options: tuple[str, ...]) -> None:
    assert doors.session(*options).cgroup == LEAF


def test_a_path_that_is_too_long_is_a_door_that_does_not_open(doors: Doors) -> None:
    assert doors.session(f"doors=/{'x/' * 300}") == (ENTERS, "", PENALTY)


def test_it_needs_ten_system_calls(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree
) -> None:
    doors = Doors(tmp_path, build(tmp_path_factory.mktemp("plain"), "-O2"), cgroups)
    trace = ["strace", "-qq", "-y", *doors.command()]
    lines = subprocess.run(trace, capture_output=True, text=True, check=True).stderr.splitlines()
    begin, end = (number for number, line in enumerate(lines) if line.startswith("getpgid("))
    own = [line for line in lines[begin:end] if str(doors.directory) in line or cgroups.root in line]
    assert 4 <= len(own) <= 10, shlex.join(own)
