"""What can break of doors, module and tree, and where a customer's login then lands.

What needs limits (a leaf full of processes, one without memory) needs controllers: the test machine has them.
"""

from collections.abc import Callable
from typing import NamedTuple

from paas_isolate.linux.pam import profile
from tests.support.kernel.login_host import PENALTY, LoginHost, leaf_of
from tests.support.kernel.pam_build import ALICE

INSIDE, IN_PENALTY = leaf_of(ALICE.name), PENALTY
"""Where a customer lands."""

NO_LOGINS = profile.REFUSED
SUSPENDED = "This account is suspended. Please contact your hosting provider."
"""What a customer is told: of a leaf that is not to be had, the module says the same as the stack without it."""


class Sabotage(NamedTuple):
    name: str
    do: Callable[[LoginHost], object]
    refused: str = ""
    lands: str = ""
    """One of the two."""

    logged: str = ""
    """What the system's log has where on_failure=open lets the customer in instead: nothing where it does not."""


def _cut(login_host: LoginHost, length: int) -> None:
    with open(login_host.module, "r+b") as module:
        module.truncate(length)


def _cut_by_half(login_host: LoginHost) -> None:
    _cut(login_host, login_host.module.stat().st_size // 2)


def _cut_by_a_byte(login_host: LoginHost) -> None:
    _cut(login_host, login_host.module.stat().st_size - 1)


def _of_another_machine(login_host: LoginHost) -> None:
    with open(login_host.module, "r+b") as module:
        module.seek(18)  # e_machine, elf(5)
        module.write((0xB7 if module.read(2) != b"\xb7\0" else 0x3E).to_bytes(2, "little"))


def _no_doors(login_host: LoginHost) -> None:
    _empty(login_host)
    login_host.doors.rmdir()


def _empty(login_host: LoginHost) -> None:
    for door in login_host.doors.iterdir():
        door.unlink()


def _a_file(login_host: LoginHost) -> None:
    _no_doors(login_host)
    login_host.doors.touch()


def _a_fifo(login_host: LoginHost) -> None:
    _no_doors(login_host)
    login_host.inside("mkfifo", str(login_host.doors))


def _a_loop(login_host: LoginHost) -> None:
    _no_doors(login_host)
    login_host.doors.symlink_to(login_host.doors)


def _unreadable(login_host: LoginHost) -> None:
    """Root may read everything, but what another user has mounted by FUSE: here one whose server has gone, too."""
    mount = f"mount -i -t fuse -o fd=3,rootmode=40000,user_id=12345,group_id=0 none '{login_host.doors}'"
    login_host.inside("sh", "-ec", f"mknod /dev/fuse c 10 229; exec 3<>/dev/fuse; {mount}")
    assert login_host.inside("ls", str(login_host.doors), check=False).returncode


def _full_below_the_doors(login_host: LoginHost) -> None:
    login_host.inside("mv", str(login_host.doors), f"{login_host.doors}.old")
    login_host.doors.mkdir()
    login_host.inside("mount", "-t", "tmpfs", "-o", "size=64k", "none", str(login_host.doors))
    login_host.inside("cp", "-a", f"{login_host.doors}.old/.", str(login_host.doors))
    _fill(login_host, str(login_host.doors))


def _full_run(login_host: LoginHost) -> None:
    login_host.inside("mount", "-o", "remount,size=64k", "/run")
    _fill(login_host, "/run")


def _fill(login_host: LoginHost, directory: str) -> None:
    assert login_host.inside("cp", "/dev/zero", f"{directory}/filling", check=False).returncode
    assert login_host.inside("dd", "if=/dev/zero", f"of={directory}/one", "count=1", "bs=1", check=False).returncode


def _no_leaf(login_host: LoginHost) -> None:
    login_host.cgroups.remove(INSIDE)


def _frozen(login_host: LoginHost) -> None:
    login_host.cgroups.write(f"users/{ALICE.name}", "cgroup.freeze", "1")


def _no_leaf_at_all(login_host: LoginHost) -> None:
    _no_leaf(login_host)
    login_host.cgroups.remove(PENALTY)


def _no_doors_no_penalty(login_host: LoginHost) -> None:
    _no_doors(login_host)
    login_host.cgroups.remove(PENALTY)


def _read_only(login_host: LoginHost) -> None:
    mount = login_host.cgroups.mount
    login_host.inside("mount", "--bind", mount, mount)
    login_host.inside("mount", "-o", "remount,bind,ro", mount)


def _no_cgroup_mount(login_host: LoginHost) -> None:
    login_host.inside("mount", "-t", "tmpfs", "none", login_host.cgroups.mount)


_NO_MODULE = "PAM adding faulty module"
_OPEN = f"{ALICE.name} logs in without limits (on_failure=open)"

SABOTAGES = (
    Sabotage("no module", lambda login_host: login_host.module.unlink(), refused=NO_LOGINS, logged=_NO_MODULE),
    Sabotage("empty module", lambda login_host: _cut(login_host, 0), refused=NO_LOGINS, logged=_NO_MODULE),
    Sabotage("a header of a module", lambda login_host: _cut(login_host, 64), refused=NO_LOGINS, logged=_NO_MODULE),
    Sabotage("half a module", _cut_by_half, refused=NO_LOGINS, logged=_NO_MODULE),
    Sabotage("a module but for a byte", _cut_by_a_byte, refused=NO_LOGINS, logged=_NO_MODULE),
    Sabotage("module of another machine", _of_another_machine, refused=NO_LOGINS, logged=_NO_MODULE),
    Sabotage("no doors", _no_doors, lands=IN_PENALTY),
    Sabotage("doors empty", _empty, lands=IN_PENALTY),
    Sabotage("doors a file", _a_file, lands=IN_PENALTY),
    Sabotage("doors a fifo", _a_fifo, lands=IN_PENALTY),
    Sabotage("doors a loop", _a_loop, lands=IN_PENALTY),
    Sabotage("doors unreadable", _unreadable, lands=IN_PENALTY),
    Sabotage("doors on a full disk", _full_below_the_doors, lands=INSIDE),
    Sabotage("run is full", _full_run, lands=INSIDE),
    Sabotage("no leaf", _no_leaf, lands=IN_PENALTY),
    Sabotage("leaf frozen", _frozen, refused=SUSPENDED),
    Sabotage("no leaf, no penalty", _no_leaf_at_all, refused=NO_LOGINS, logged=_OPEN),
    Sabotage("no doors, no penalty", _no_doors_no_penalty, refused=NO_LOGINS, logged=_OPEN),
    Sabotage("tree read-only", _read_only, refused=NO_LOGINS, logged=_OPEN),
    Sabotage("no tree", _no_cgroup_mount, refused=NO_LOGINS, logged=_OPEN),
)
