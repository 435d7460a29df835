"""paas-enter: root's command runs as the customer, inside the tree, and inherits nothing of root's."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from tests.support.kernel.enter_host import CUSTOMER, OTHER, EnterHost
from tests.support.kernel.pam_session import QUIET

pytestmark = pytest.mark.kernel


OWN_FAILURE = 125


def test_it_runs_as_the_customer_inside(machine: EnterHost) -> None:
    told = machine.tell("nobody/web")
    assert machine.cgroups.path_of(str(told["cgroup"])) == "users/nobody/web"
    assert told["uids"] == [CUSTOMER] * 3
    assert told["gids"] == [CUSTOMER] * 3
    assert told["groups"] == [CUSTOMER]
    assert told["capabilities"] == ["0000000000000000"]


def test_nothing_of_roots_goes_along(machine: EnterHost, tmp_path: Path) -> None:
    secret = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(secret, True)
    environment = {**QUIET, "SECRET": "1", "LANG": "C.UTF-8", "LD_X": "1"}

    def root_at_work() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    told = machine.tell(
        "--keep", "LANG", "--keep", "UNSET", "nobody/web", env=environment, close_fds=False, preexec_fn=root_at_work
    )
    os.close(secret)
    found = told["environment"]
    assert isinstance(found, dict)
    found.pop("LC_CTYPE", None)  # of Python's own making
    assert sorted(found) == ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "USER"]
    assert (found["USER"], found["LOGNAME"], found["LANG"]) == ("nobody", "nobody", "C.UTF-8")
    assert told["descriptors"] == [0, 1, 2]
    assert told["blocked"] == ["0000000000000000"]
    assert int(str(told["ignored"])[2:-2], 16) & 1 << signal.SIGINT - 1 == 0


def test_it_is_where_the_customer_may_be(machine: EnterHost, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert machine.tell("nobody/web", cwd="/usr/bin")["directory"] == "/usr/bin"
    assert machine.tell("nobody/web", cwd=tmp_path)["directory"] == "/"


def test_new_privileges_only_where_nobody_asks_to_keep_them_out(machine: EnterHost) -> None:
    assert machine.tell("nobody/web")["no_new_privs"] == ["0"]
    assert machine.tell("--no-new-privs", "nobody/web")["no_new_privs"] == ["1"]


def test_the_exit_status_is_the_commands(machine: EnterHost) -> None:
    assert machine.run("nobody/web", command=("sh", "-c", "exit 7")).returncode == 7
    assert machine.run("nobody/web", command=("/no/such/program",)).returncode == 127
    assert machine.run("nobody/web", command=("/etc/passwd",)).returncode == 126


def test_options_behind_the_command_are_its_own(machine: EnterHost) -> None:
    assert machine.run("nobody/web", command=("echo", "-n", "--help")).stdout == "--help"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nobody/nothing",), "the account has no service nothing"),
        (("nobody/..",), "is not ACCOUNT/SERVICE"),
        (("../web",), "is not ACCOUNT/SERVICE"),
        (("nobody",), "Usage: paas-enter"),
        (("nobody/",), "is not ACCOUNT/SERVICE"),
        (("/web",), "is not ACCOUNT/SERVICE"),
        (("root/web",), "root is root, and no customer"),
        (("nosuchuser/web",), "no user is called nosuchuser"),
        (("--user", "daemon", "nobody/web"), "daemon is no user of the account nobody"),
        (("--user", "bin", "nobody/web"), "the door of bin does not open"),
        (("--unheard-of", "nobody/web"), "Usage: paas-enter"),
    ],
)
def test_what_is_wrong_runs_nothing(machine: EnterHost, words: tuple[str, ...], said: str) -> None:
    done = machine.run(*words, command=("echo", "it ran"))
    assert done.returncode == OWN_FAILURE
    assert said in done.stderr
    assert done.stdout == ""


def test_a_user_by_another_name_comes_in_by_the_accounts_directory(machine: EnterHost) -> None:
    machine.lay(OTHER, f"{machine.cgroups.root}/users/nobody/login")
    assert machine.tell("--user", "daemon", "nobody/web")["uids"] == [OTHER] * 3
    found = machine.tell("--user", "daemon", "nobody/web")["environment"]
    assert isinstance(found, dict)
    assert (found["USER"], found["HOME"]) == ("daemon", "/usr/sbin")


def test_a_closed_account_and_a_frozen_service_run_nothing(machine: EnterHost) -> None:
    machine.cgroups.write("users/nobody/web", "cgroup.freeze", "1")
    assert "the service web is frozen" in machine.run("nobody/web").stderr
    machine.lay(CUSTOMER, "closed")
    assert "suspended or frozen" in machine.run("nobody/login").stderr


def test_a_door_to_elsewhere_runs_nothing(machine: EnterHost, tmp_path: Path) -> None:
    for name in ("login", "web"):
        (tmp_path / "trap" / name).mkdir(parents=True)
    (tmp_path / "trap/web/cgroup.events").write_text("frozen 0\n")
    (tmp_path / "trap/web/cgroup.procs").touch()
    machine.lay(CUSTOMER, str(tmp_path / "trap/login"))
    done = machine.run("nobody/web", command=("echo", "it ran"))
    assert (done.returncode, done.stdout) == (OWN_FAILURE, "")
    assert "does not lead to a cgroup" in done.stderr


def test_it_is_for_root_alone(machine: EnterHost) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        machine.launcher = Path(shutil.copy(machine.launcher, place))
        done = machine.run("nobody/web", user=OTHER, group=OTHER, extra_groups=[])
    assert done.returncode == OWN_FAILURE
    assert "for root alone" in done.stderr
