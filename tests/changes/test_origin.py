"""How a process was started and why it is outside, with process trees and cgroups of Debian 12 and 13."""

import pytest

from paas_isolate.changes.origin import LEFT_BEHIND, OriginKind, origin, reason_of
from paas_isolate.model.world import ProcessParent

ALICE, BOB, WWW, ADMIN = 1001, 1002, 33, 1000


def customers(uid: int) -> bool:
    return uid in (ALICE, BOB)


def way_of(*chain: tuple[str, int]) -> str:
    """The way of the first, whose parent is the second, and so on up to init."""
    family = {100 + at: ProcessParent(101 + at, uid, name) for at, (name, uid) in enumerate(chain)}
    top = 99 + len(chain)
    family[top] = family[top]._replace(parent=1)
    family[1] = ProcessParent(0, 0, "systemd")
    return origin(100, family.get, customers)


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


def test_a_parent_that_ends_meanwhile_leaves_its_children_behind() -> None:
    assert origin(100, {100: ProcessParent(101, ALICE, "sh")}.get, customers) == LEFT_BEHIND
    assert origin(100, lambda _: None, customers) == LEFT_BEHIND


def test_pids_that_are_used_again_meanwhile_make_no_circle() -> None:
    circle = {100: ProcessParent(101, ALICE, "a"), 101: ProcessParent(100, ALICE, "b")}
    assert origin(100, circle.get, customers) == LEFT_BEHIND


@pytest.mark.parametrize(
    ("cgroup", "key", "what"),
    [
        ("/user.slice/user-1001.slice/session-3.scope", OriginKind.LOGIN, ""),
        ("/user.slice/user-1001.slice/session-c1.scope", OriginKind.LOGIN, ""),
        ("/system.slice/ssh.service", OriginKind.LOGIN, ""),
        ("/system.slice/system-ssh.slice/ssh@3-10.0.2.15:22-10.0.2.2:4.service", OriginKind.LOGIN, ""),
        ("/system.slice/cron.service", OriginKind.LOGIN, ""),
        ("/system.slice/system-getty.slice/getty@tty1.service", OriginKind.LOGIN, ""),
        ("/user.slice/user-1001.slice/user@1001.service/init.scope", OriginKind.MANAGER, "user@1001.service"),
        ("/user.slice/user-1001.slice/user@1001.service/app.slice/x.service", OriginKind.MANAGER, "user@1001.service"),
        ("/system.slice/php8.2-fpm.service", OriginKind.UNIT, "php8.2-fpm.service"),
        ("/system.slice/system-uwsgi.slice/uwsgi@alice.service/worker", OriginKind.UNIT, "uwsgi@alice.service"),
        ("/system.slice/run-u12.scope", OriginKind.UNIT, "run-u12.scope"),
        ("/", OriginKind.ELSEWHERE, "/"),
        ("/lxc/alice", OriginKind.ELSEWHERE, "/lxc/alice"),
        ("penalty", OriginKind.PENALTY, ""),
        ("users/bob/other", OriginKind.ACCOUNT, ""),
        ("users/alice/other", OriginKind.CONFINED, ""),
        ("users/alice/login/below", OriginKind.CONFINED, ""),
    ],
)
def test_the_cgroup_tells_why(cgroup: str, key: OriginKind, what: str) -> None:
    reason = reason_of(cgroup, "alice")
    assert reason == (key, what)
    assert bool(reason.advice) == bool(str(reason)) == (key is not OriginKind.CONFINED)


def test_whom_no_account_names_has_no_place_to_be_missing_from() -> None:
    assert {reason_of(cgroup, "").why for cgroup in ("penalty", "users/gone/other")} == {OriginKind.CONFINED}
    assert reason_of("/system.slice/x.service", "").why is OriginKind.UNIT
