"""The module under valgrind(1): no read of uninitialised memory, no leak."""

import subprocess
from pathlib import Path

import pytest
from checking import tool_env

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.module_doors import LEAF, SERVICE_LEAF, Doors
from tests.support.kernel.pam_session import build

pytestmark = [pytest.mark.kernel, pytest.mark.long]

VALGRIND = (
    *("valgrind", "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect,possible"),
    *("--errors-for-leak-kinds=definite,indirect,possible", "--error-exitcode=99"),
)


@pytest.fixture(scope="module", autouse=True)
def valgrind() -> None:
    tool_env.have({"valgrind": "valgrind"})


@pytest.fixture
def doors(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> Doors:
    return Doors(tmp_path, build(tmp_path_factory.mktemp("plain"), "-O1"), cgroups)


def _clean(doors: Doors, *options: str, user: str = "nobody", service: str = "sshd", penalty: bool = True) -> None:
    command = doors.command(*options, user=user, service=service, penalty=penalty)
    done = subprocess.run([*VALGRIND, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "==" not in done.stderr


def test_sessions_that_are_let_in(doors: Doors) -> None:
    _clean(doors)
    doors.lay(SERVICE_LEAF, "sshd")
    _clean(doors)
    for user, service in (("root", "sshd"), ("daemon", "sshd"), ("nobody", "dovecot")):
        _clean(doors, user=user, service=service)
    _clean(doors, "exempt=1,,x,65534", "unheard=of", "first_uid=x", "doors=", "penalty=")


def test_sessions_that_are_not(doors: Doors) -> None:
    doors.cgroups.write("users/alice", "cgroup.freeze", "1")
    _clean(doors)
    doors.cgroups.write("users/alice", "cgroup.freeze", "0")
    doors.lay("closed")
    _clean(doors)


def test_doors_that_do_not_open(doors: Doors) -> None:
    doors.cgroups.remove(LEAF)
    _clean(doors)
    _clean(doors, penalty=False)
    _clean(doors, "on_failure=open", penalty=False)
    _clean(doors, f"doors=/{'x/' * 300}")
    doors.door.unlink()
    _clean(doors)
    doors.complete.unlink()
    _clean(doors)
