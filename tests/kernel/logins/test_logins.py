"""Logins through OpenSSH: every kind of connection of a customer is inside from the first instruction on."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel import login_stacks
from tests.support.kernel.login_host import LoginHost, leaf_of
from tests.support.kernel.logins import (
    ASKED,
    KEY,
    LOOK,
    PASSWORD,
    Checker,
    cgroup_told,
    client,
    connection,
    forwarded,
    login,
    run,
)
from tests.support.kernel.pam_build import ADMIN, ALICE, BOB, CUSTOMERS, OPERATOR, ROOT, PamBuild
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

AT_ONCE = 4
ALICES = leaf_of("alice")


@pytest.mark.parametrize("way", [KEY, PASSWORD, ASKED])
def test_a_customer_lands_inside_and_an_exempt_user_does_not(login_host: LoginHost, way: str) -> None:
    for each in CUSTOMERS:
        found = login(login_host, each, way=way)
        assert (found.status, found.cgroup) == (0, leaf_of(each.name))
        assert not found.beside  # jumped over pam_systemd's place
    for each in (ROOT, ADMIN, OPERATOR):
        found = login(login_host, each, way=way)
        assert found.status == 0
        assert found.cgroup.startswith("/")
        assert found.beside


def test_what_is_left_behind_stays_inside(login_host: LoginHost) -> None:
    behind = f"setsid sh -c 'sleep 1; {LOOK}' >later 2>&1 </dev/null & {LOOK}"
    assert login(login_host, ALICE, look=behind).cgroup == ALICES
    wait_for(
        lambda: "beside" in login_host.inside("cat", "/home/alice/later").stdout, what="it has written where it is"
    )
    assert cgroup_told(login_host, login_host.inside("cat", "/home/alice/later").stdout) == ALICES


@pytest.mark.parametrize("server", [(), ("-s", "/usr/lib/openssh/sftp-server")], ids=["internal", "external"])
def test_sftp(login_host: LoginHost, server: tuple[str, ...]) -> None:
    (login_host.place / "batch").write_text("get /proc/self/cgroup fetched\n")
    done = run(login_host, [*client(login_host, program="sftp"), "-q", "-b", "batch", *server, "alice@host"])
    assert done.returncode == 0, done.stderr
    assert _fetched(login_host) == ALICES


def test_scp(login_host: LoginHost) -> None:
    done = run(login_host, [*client(login_host, program="scp"), "-q", "alice@host:/proc/self/cgroup", "fetched"])
    assert done.returncode == 0, done.stderr
    assert _fetched(login_host) == ALICES


def test_the_old_protocol_of_scp(login_host: LoginHost) -> None:
    (login_host.place / "large").write_bytes(bytes(200_000))
    with Checker(login_host) as checker:
        done = run(login_host, [*client(login_host, program="scp"), "-q", "-O", "-l", "3200", "large", "alice@host:"])
    assert done.returncode == 0, done.stderr
    assert ("scp", ALICES) in checker.programs
    assert not checker.outside


def test_a_forward_without_a_session(login_host: LoginHost) -> None:
    """Then the customer has nothing but a process of sshd: that is inside too."""
    with forwarded(login_host, ALICE) as (local, server):
        through, _ = server.accept()
        with through:
            through.sendall(b"served")
            assert local.recv(6) == b"served"
            _sshd_is_inside(login_host)


def test_a_remote_forward(login_host: LoginHost) -> None:
    with connection(login_host, ALICE, "-R", "/home/alice/entry:127.0.0.1:1"):
        wait_for(
            lambda: not login_host.inside("test", "-S", "/home/alice/entry", check=False).returncode,
            what="the forward is there",
        )
        _sshd_is_inside(login_host)


def test_later_sessions_of_a_connection(login_host: LoginHost) -> None:
    with connection(login_host, ALICE, "-M", "-S", "./control"):
        wait_for((login_host.place / "control").exists, what="the connection is there")
        for _ in range(2):
            done = run(login_host, [*client(login_host), "-S", "./control", "alice@host", LOOK])
            assert cgroup_told(login_host, done.stdout) == ALICES


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.long)])
def test_no_process_of_many_logins_is_ever_outside(login_host: LoginHost, number: int) -> None:
    ways = (KEY, KEY, PASSWORD, ASKED)

    def one(at: int) -> bool:
        who = CUSTOMERS[at % 2]
        return login(login_host, who, way=ways[at // 2 % 4]).cgroup == leaf_of(who.name)

    with Checker(login_host) as checker, ThreadPoolExecutor(AT_ONCE) as many:
        landed = list(many.map(one, range(number)))
    assert landed == [True] * number
    assert not checker.outside
    assert len(checker.pids) >= number // 2  # most of them live for some hundredths of a second
    assert checker.looks >= number // 2


@pytest.mark.long
def test_two_hundred_connections_survive_the_removal_of_our_lines(login_host: LoginHost) -> None:
    """And root comes in beside them."""
    with ExitStack() as connections:
        forwards = [f"./entry{at}" for at in range(200)]
        for at, forward in enumerate(forwards):
            connections.enter_context(connection(login_host, CUSTOMERS[at % 2], "-L", f"{forward}:127.0.0.1:1"))
            if at % AT_ONCE == AT_ONCE - 1:
                wait_for((login_host.place / forward).exists, what="the forward is there")
        before = _looked(login_host)
        assert len(before.pids) == len(forwards)
        assert not before.outside
        assert login(login_host, ROOT).status == login(login_host, ADMIN, way=PASSWORD).status == 0
        assert login(login_host, ALICE).cgroup == ALICES
        login_stacks.lay(login_host.place / "etc" / "pam.d", ())
        login_host.module.unlink()
        assert login(login_host, ALICE).cgroup.startswith("/")
        assert _looked(login_host).pids == before.pids


def test_the_checker_sees_who_is_outside(tmp_path: Path, pam_build: PamBuild, cgroups: CgroupTree) -> None:
    """Without our lines it must find something, or it could never."""
    with LoginHost(tmp_path, pam_build, cgroups, lines=()) as login_host, Checker(login_host) as checker:
        found = login(login_host, BOB, look=f"sleep 0.3; {LOOK}")
    assert found.cgroup.startswith("/")
    assert checker.outside


def _looked(login_host: LoginHost) -> Checker:
    checker = Checker(login_host)
    checker.look()
    return checker


def _sshd_is_inside(login_host: LoginHost) -> None:
    checker = _looked(login_host)
    assert [(name[:4], cgroup) for name, cgroup in checker.programs] == [("sshd", ALICES)]
    assert not checker.outside


def _fetched(login_host: LoginHost) -> str:
    told = (login_host.place / "fetched").read_text().splitlines()
    return login_host.cgroups.path_of(next(line[3:] for line in told if line.startswith("0::")))
