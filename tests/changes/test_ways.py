"""Which way a process came, and why it is outside: with the processes and cgroups of Debian 12 and 13."""

import pytest

from paas_isolate.changes.ways import LEFT_BEHIND, Why, way, why
from paas_isolate.model.world import Kin

ALICE, BOB, WWW, ADMIN = 1001, 1002, 33, 1000


def customers(uid: int) -> bool:
    return uid in (ALICE, BOB)


def way_of(*chain: tuple[str, int]) -> str:
    """The way of the first, whose parent is the second, and so on up to init."""
    family = {100 + at: Kin(101 + at, uid, name) for at, (name, uid) in enumerate(chain)}
    top = 99 + len(chain)
    family[top] = family[top]._replace(parent=1)
    family[1] = Kin(0, 0, "systemd")
    return way(100, family.get, customers)


@pytest.mark.parametrize(
    ("expected", "chain"),
    [
        ("ssh", [("bash", ALICE), ("sshd", ALICE), ("sshd", 0), ("sshd", 0)]),
        ("ssh", [("sftp-server", ALICE), ("sshd-session", ALICE), ("sshd-session", 0), ("sshd", 0)]),
        ("cron", [("sh", ALICE), ("cron", 0), ("cron", 0)]),
        ("at", [("sh", ALICE), ("atd", 0), ("atd", 1)]),
        ("su", [("bash", ALICE), ("su", 0), ("bash", 0), ("sshd", 0)]),
        ("su", [("bash", BOB), ("su", 0), ("bash", ALICE), ("sshd", ALICE), ("sshd", 0)]),
        ("sudo", [("top", ALICE), ("sudo", 0), ("sudo", 0), ("bash", ADMIN), ("sshd", 0)]),
        ("login", [("bash", ALICE), ("login", 0)]),
        ("php-fpm8.2", [("php-fpm8.2", ALICE), ("php-fpm8.2", 0)]),
        ("apache2", [("php-cgi", ALICE), ("apache2", WWW), ("apache2", 0)]),
        ("exim4", [("vacation", ALICE), ("exim4", 0)]),
        ("bash", [("sh", ALICE), ("bash", ADMIN), ("sshd", 0)]),
        (LEFT_BEHIND, [("tmux: server", ALICE)]),
        (LEFT_BEHIND, [("sleep", ALICE), ("systemd", ALICE)]),
        (LEFT_BEHIND, [("sleep", ALICE), ("systemd", 0), ("containerd-shim", 0)]),
    ],
)
def test_the_nearest_ancestor_that_is_no_customers_is_the_way(expected: str, chain: list[tuple[str, int]]) -> None:
    assert way_of(*chain) == expected


def test_who_ends_meanwhile_leaves_its_children_behind() -> None:
    assert way(100, {100: Kin(101, ALICE, "sh")}.get, customers) == LEFT_BEHIND
    assert way(100, {}.get, customers) == LEFT_BEHIND


def test_pids_that_are_used_again_meanwhile_make_no_circle() -> None:
    circle = {100: Kin(101, ALICE, "a"), 101: Kin(100, ALICE, "b")}
    assert way(100, circle.get, customers) == LEFT_BEHIND


@pytest.mark.parametrize(
    ("cgroup", "key", "what"),
    [
        ("/user.slice/user-1001.slice/session-3.scope", Why.LOGIN, ""),
        ("/user.slice/user-1001.slice/session-c1.scope", Why.LOGIN, ""),
        ("/system.slice/ssh.service", Why.LOGIN, ""),
        ("/system.slice/system-ssh.slice/ssh@3-10.0.2.15:22-10.0.2.2:4.service", Why.LOGIN, ""),
        ("/system.slice/cron.service", Why.LOGIN, ""),
        ("/system.slice/system-getty.slice/getty@tty1.service", Why.LOGIN, ""),
        ("/user.slice/user-1001.slice/user@1001.service/init.scope", Why.MANAGER, "user@1001.service"),
        ("/user.slice/user-1001.slice/user@1001.service/app.slice/x.service", Why.MANAGER, "user@1001.service"),
        ("/system.slice/php8.2-fpm.service", Why.UNIT, "php8.2-fpm.service"),
        ("/system.slice/system-uwsgi.slice/uwsgi@alice.service/worker", Why.UNIT, "uwsgi@alice.service"),
        ("/system.slice/run-u12.scope", Why.UNIT, "run-u12.scope"),
        ("/", Why.ELSEWHERE, "/"),
        ("/lxc/alice", Why.ELSEWHERE, "/lxc/alice"),
        ("penalty", Why.PENALTY, ""),
        ("users/bob/other", Why.ACCOUNT, ""),
        ("users/alice/other", Why.CONFINED, ""),
        ("users/alice/login/below", Why.CONFINED, ""),
    ],
)
def test_the_cgroup_tells_why(cgroup: str, key: Why, what: str) -> None:
    reason = why(cgroup, "alice")
    assert reason == (key, what)
    assert bool(reason.told) == bool(str(reason)) == (key is not Why.CONFINED)


def test_whom_no_account_names_has_no_place_to_be_missing_from() -> None:
    assert {why(cgroup, "").why for cgroup in ("penalty", "users/gone/other")} == {Why.CONFINED}
    assert why("/system.slice/x.service", "").why is Why.UNIT
