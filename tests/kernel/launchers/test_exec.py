"""`paas-isolate exec`: a command runs in an account's service, as the customer."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from paas_isolate.source import decisions
from tests.support.kernel.host import NO_LIMIT, TestHost, over_sbin
from tests.support.kernel.pam_session import STRICT
from tests.support.kernel.pam_sources import ENTER

pytestmark = pytest.mark.kernel

WHO = ("sh", "-c", "id -un; sed -n s/^0:://p /proc/self/cgroup; echo $HUE")


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("sbin") / "paas-enter"
    subprocess.run(["gcc", *STRICT, "-O2", "-o", program, *ENTER], check=True)
    return program


class Counter:
    """The command, on a machine that has the launcher where its package puts it."""

    def __init__(self, host: TestHost, launcher: Path) -> None:
        self.host, self.launcher = host, launcher

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        bind = f'{shlex.join(over_sbin(self.launcher.parent))} && exec "$@"'
        line = self.host.inside("sh", "-c", bind, "sh", *self.host.command("exec", *words))
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, env={**os.environ, "HUE": "blue"})
        assert done.returncode == code, done.stderr
        return done

    def who(self, *words: str) -> list[str]:
        """User, leaf and $HUE of a command."""
        user, cgroup, hue = self(*words, "--", *WHO).stdout.splitlines()
        return [user, self.host.cgroups.path_of(cgroup), hue]

    def refused(self, *words: str, code: int) -> str:
        done = self(*words, "--", "echo", "it ran", code=code)
        assert done.stdout == ""
        return done.stderr


@pytest.fixture
def counter(host: TestHost, launcher: Path) -> Counter:
    host.account("alice", f"users: [alice, bob]\nowner: alice\nservices: {{web: {{{NO_LIMIT}}}}}\n")
    return Counter(host, launcher)


def test_the_first_time_makes_the_door_and_runs_inside(counter: Counter) -> None:
    assert counter.who("alice/web") == ["alice", "users/alice/web", ""]
    assert decisions.load(str(counter.host.place / "state")).launcher


def test_from_then_on_reconcile_keeps_the_doors(counter: Counter) -> None:
    counter.host.account("carol")
    counter("alice/web", "true")
    assert counter.host.run("reconcile").returncode == 0
    doors = counter.host.place / "run/doors"
    assert len([door for door in doors.iterdir() if door.is_symlink()]) == 3
    assert (doors / ".complete").exists()
    assert counter.host.run("diff", "--exit-code").returncode == 0


def test_a_service_that_no_run_has_seen_yet_is_made(counter: Counter) -> None:
    counter("alice/web", "true")
    counter.host.account("alice", f"services: {{web: {{{NO_LIMIT}}}, mail: {{{NO_LIMIT}}}}}\n")
    assert counter.who("alice/mail")[1] == "users/alice/mail"


def test_options_go_along(counter: Counter) -> None:
    assert counter.who("alice/web", "--user", "bob", "--keep", "HUE") == ["bob", "users/alice/web", "blue"]
    privs = ("grep", "NoNewPrivs", "/proc/self/status")
    assert counter("--no-new-privs", "alice/web", "--", *privs).stdout.split() == ["NoNewPrivs:", "1"]


def test_an_account_with_an_older_name_of_its_directory(counter: Counter) -> None:
    assert counter.host.run("reconcile").returncode == 0
    (counter.host.etc / "accounts.d/alice.yaml").unlink()
    counter.host.account("host", f"users: [alice]\nrenamed_from: alice\nservices: {{web: {{{NO_LIMIT}}}}}\n")
    assert counter.who("host/web")[:2] == ["alice", "users/alice/web"]


def test_the_exit_status_is_the_commands(counter: Counter) -> None:
    counter("alice/web", "--", "sh", "-c", "exit 7", code=7)
    counter("alice/web", "--", "/no/such/program", code=127)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("alcie/web",), "no account is called 'alcie'; did you mean alice?"),
        (("alice/wbe",), "no service of alice is called 'wbe'; did you mean web?"),
        (("alice/x",), "no service of alice is called 'x'; there are: login, other, web"),
        (("alice/web", "--user", "bb"), "no user of alice is called 'bb'; did you mean bob?"),
        (("alice",), "'alice' is not ACCOUNT/SERVICE"),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(counter: Counter, words: tuple[str, ...], said: str) -> None:
    assert said in counter.refused(*words, code=2)


def test_a_command_that_may_not_run_now_is_refused_with_the_reason(counter: Counter) -> None:
    counter("alice/web", "true")
    assert counter.host.run("freeze", "alice/web").returncode == 0
    assert "alice/web is frozen: paas-isolate thaw alice/web" in counter.refused("alice/web", code=1)
    assert counter.host.run("thaw", "alice/web").returncode == 0
    counter.host.account("alice", f"suspended: true\nservices: {{web: {{{NO_LIMIT}}}}}\n")
    assert "alice is suspended" in counter.refused("alice/web", code=1)
    counter.host.account("alice", f"services: {{web: {{{NO_LIMIT}}}}}\n")
    counter.host.configure(", exempt: [alice]")
    assert "alice is exempt" in counter.refused("alice/web", code=1)


def test_without_the_launcher_it_says_where_that_comes_from(counter: Counter, tmp_path: Path) -> None:
    counter.launcher = tmp_path / "paas-enter"
    assert "apt-get install" in counter.refused("alice/web", code=5)
