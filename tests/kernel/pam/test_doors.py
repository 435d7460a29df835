"""Doors as reconcile lays them out, and the module that comes in by them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from paas_isolate.source import decisions
from paas_isolate.source.decisions import Decisions
from tests.support.kernel.host import ALICE, BOB, CAROL, NO_LIMIT, Shop
from tests.support.kernel.pam_session import ENTERS, REFUSED, Built, Session, build, opened

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("module"), "-O2")


Login = Callable[..., Session]


@pytest.fixture
def login(shop: Shop, built: Built) -> Login:
    confdir = shop.place / "pam.d"
    confdir.mkdir()

    def log_in(user: str, service: str = "sshd") -> Session:
        options = (f"doors={shop.place}/run/doors", f"first_uid={ALICE}", f"last_uid={CAROL}")
        words = built.command(confdir, service, user, *options, f"penalty={shop.cgroups.root}/penalty")
        return opened(shop.inside(*words), shop.cgroups)

    return log_in


@pytest.fixture(autouse=True)
def decided(shop: Shop) -> None:
    """Logins come in by the module here."""
    decisions.save(str(shop.place / "state"), Decisions(doors=True))


def doors(shop: Shop) -> dict[str, str]:
    place = shop.place / "run" / "doors"
    found = {door.name: os.readlink(door) for door in place.iterdir() if door.is_symlink()}
    return {name: target.removeprefix(f"{shop.cgroups.root}/") for name, target in found.items()}


def test_customers_come_in_by_the_doors_that_reconcile_lays(shop: Shop, login: Login) -> None:
    assert login("alice").cgroup == ""  # no penalty leaf yet: refused
    shop.account("alice", f"services: {{jobs: {{{NO_LIMIT}, entry: [cron]}}}}\n")
    shop.account("bob", "suspended: true\n")
    assert shop.run("reconcile").returncode == 0
    assert doors(shop) == {
        f"{ALICE}": "users/alice/login",
        f"{ALICE}.cron": "users/alice/jobs",
        f"{BOB}": "closed/bob",
    }
    assert login("alice").cgroup == "users/alice/login"
    assert login("alice", "cron").cgroup == "users/alice/jobs"
    assert login("bob").answer == REFUSED
    assert login("carol") == login("root") == (ENTERS, "", "")
    assert shop.run("reconcile").stdout == "nothing to do\n"


def test_where_nobody_comes_in_by_them_there_are_none(shop: Shop) -> None:
    decisions.save(str(shop.place / "state"), Decisions())
    shop.account("alice")
    assert "door" not in shop.run("reconcile").stdout
    assert not (shop.place / "run" / "doors").exists()


def test_doors_close_for_a_freeze_and_open_after_it(shop: Shop, login: Login) -> None:
    shop.account("alice")
    shop.run("reconcile")
    assert "close door" in shop.run("freeze", "alice").stdout
    assert login("alice").answer == REFUSED
    assert shop.run("reconcile").stdout == "nothing to do\n"
    assert "open door" in shop.run("thaw", "alice").stdout
    assert login("alice").cgroup == "users/alice/login"


def test_an_account_that_goes_takes_its_door_along(shop: Shop, login: Login) -> None:
    shop.account("alice")
    shop.account("bob")
    shop.run("reconcile")
    (shop.etc / "accounts.d" / "alice.yaml").unlink()
    assert shop.run("reconcile", "--remove").returncode == 0
    assert doors(shop) == {f"{BOB}": "users/bob/login"}
    assert login("alice") == (ENTERS, "", "")


def test_doors_stay_where_accounts_stay_as_they_are(shop: Shop) -> None:
    shop.account("alice")
    shop.account("bob")
    shop.run("reconcile")
    before = doors(shop)
    shop.account("alice", "limits: {pids: wrong}\n")
    assert shop.run("reconcile").returncode == 4
    assert doors(shop) == before
    (shop.etc / "accounts.d").rename(shop.etc / "elsewhere")
    assert shop.run("reconcile").returncode == 4
    assert doors(shop) == before


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
def test_what_was_done_to_the_doors_lets_nobody_out_and_is_mended(
    shop: Shop, login: Login, sabotage: Callable[[Path], None]
) -> None:
    shop.account("alice")
    shop.account("bob")
    shop.run("reconcile")
    before = doors(shop)
    sabotage(shop.place / "run" / "doors")
    assert {login(name).cgroup for name in ("alice", "bob", "carol")} == {"penalty"}
    assert login("root") == (ENTERS, "", "")
    assert shop.run("reconcile").returncode == 0
    assert doors(shop) == before
    assert login("alice").cgroup == "users/alice/login"
    assert login("carol") == (ENTERS, "", "")
    assert shop.run("reconcile").stdout == "nothing to do\n"
