"""reconcile makes the doors, and the PAM module enters by them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions
from tests.support.kernel.host import ALICE, BOB, CAROL, NO_LIMIT, TestHost
from tests.support.kernel.pam_session import ENTERS, REFUSED, Built, Session, build, opened

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("module"), "-O2")


Login = Callable[..., Session]


@pytest.fixture
def login(host: TestHost, built: Built) -> Login:
    confdir = host.place / "pam.d"
    confdir.mkdir()

    def log_in(user: str, service: str = "sshd") -> Session:
        options = (f"doors={host.place}/run/doors", f"first_uid={ALICE}", f"last_uid={CAROL}")
        words = built.command(confdir, service, user, *options, f"penalty={host.cgroups.root}/penalty")
        return opened(host.inside(*words), host.cgroups)

    return log_in


@pytest.fixture(autouse=True)
def decided(host: TestHost) -> None:
    """Logins come in by the module here."""
    decisions.save(str(host.place / "state"), Decisions(doors=True))


def doors(host: TestHost) -> dict[str, str]:
    place = host.place / "run" / "doors"
    found = {door.name: os.readlink(door) for door in place.iterdir() if door.is_symlink()}
    return {name: target.removeprefix(f"{host.cgroups.root}/") for name, target in found.items()}


def test_customers_enter_by_the_doors_that_reconcile_makes(host: TestHost, login: Login) -> None:
    assert login("alice").cgroup == ""  # no penalty leaf yet: refused
    host.account("alice", f"services: {{jobs: {{{NO_LIMIT}, entry: [cron]}}}}\n")
    host.account("bob", "suspended: true\n")
    assert host.run("reconcile").returncode == 0
    assert doors(host) == {
        f"{ALICE}": "users/alice/login",
        f"{ALICE}.cron": "users/alice/jobs",
        f"{BOB}": "closed/bob",
    }
    assert login("alice").cgroup == "users/alice/login"
    assert login("alice", "cron").cgroup == "users/alice/jobs"
    assert login("bob").answer == REFUSED
    assert login("carol") == login("root") == (ENTERS, "", "")
    assert host.run("reconcile").stdout == "nothing to do\n"


def test_without_a_launcher_or_module_there_are_no_doors(host: TestHost) -> None:
    decisions.save(str(host.place / "state"), Decisions())
    host.account("alice")
    assert "door" not in host.run("reconcile").stdout
    assert not (host.place / "run" / "doors").exists()


def test_doors_close_for_a_freeze_and_open_after_it(host: TestHost, login: Login) -> None:
    host.account("alice")
    host.run("reconcile")
    assert "close door" in host.run("freeze", "alice").stdout
    assert login("alice").answer == REFUSED
    assert host.run("reconcile").stdout == "nothing to do\n"
    assert "open door" in host.run("thaw", "alice").stdout
    assert login("alice").cgroup == "users/alice/login"


def test_an_account_that_goes_takes_its_door_along(host: TestHost, login: Login) -> None:
    host.account("alice")
    host.account("bob")
    host.run("reconcile")
    (host.etc / "accounts.d" / "alice.yaml").unlink()
    assert host.run("reconcile", "--remove").returncode == 0
    assert doors(host) == {f"{BOB}": "users/bob/login"}
    assert login("alice") == (ENTERS, "", "")


def test_doors_stay_where_accounts_stay_as_they_are(host: TestHost) -> None:
    host.account("alice")
    host.account("bob")
    host.run("reconcile")
    before = doors(host)
    host.account("alice", "limits: {pids: wrong}\n")
    assert host.run("reconcile").returncode == 4
    assert doors(host) == before
    (host.etc / "accounts.d").rename(host.etc / "elsewhere")
    assert host.run("reconcile").returncode == 4
    assert doors(host) == before


def no_directory(place: Path) -> None:
    shutil.rmtree(place)


def nothing_in_it(place: Path) -> None:
    no_directory(place)
    place.mkdir()


def a_file(place: Path) -> None:
    no_directory(place)
    place.touch()


def a_fifo(place: Path) -> None:
    no_directory(place)
    os.mkfifo(place)


def a_loop(place: Path) -> None:
    no_directory(place)
    place.symlink_to(place)


def other_doors(place: Path) -> None:
    for door in place.iterdir():
        door.unlink()
    (place / f"{ALICE}").symlink_to("/tmp")
    (place / f"{BOB}").mkdir()
    (place / "4711").symlink_to("/nowhere")


@pytest.mark.parametrize("sabotage", [no_directory, nothing_in_it, a_file, a_fifo, a_loop, other_doors])
def test_damaged_doors_let_nobody_out_and_are_repaired(
    host: TestHost, login: Login, sabotage: Callable[[Path], None]
) -> None:
    host.account("alice")
    host.account("bob")
    host.run("reconcile")
    before = doors(host)
    sabotage(host.place / "run" / "doors")
    assert {login(name).cgroup for name in ("alice", "bob", "carol")} == {"penalty"}
    assert login("root") == (ENTERS, "", "")
    assert host.run("reconcile").returncode == 0
    assert doors(host) == before
    assert login("alice").cgroup == "users/alice/login"
    assert login("carol") == (ENTERS, "", "")
    assert host.run("reconcile").stdout == "nothing to do\n"
