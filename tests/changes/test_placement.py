"""Which leaf each process belongs in: cases as data."""

import pytest

from paas_isolate.changes.placement import Placement
from paas_isolate.model.account import Host, Match, Service
from paas_isolate.model.world import Process
from tests.support.fleets import fleet, service, sold

ALICE = sold(
    "alice",
    {},
    service("web", program="apache2"),
    service("php", program="php-fpm*", command="*pool alice*"),
    service("all-php", program="php-fpm*"),
    service("first", program="php-fpm*", command="*urgent*", priority=5),
    Service("dev", match=Match(user="alice-dev", program="node")),
    uids={"alice": 1001, "alice-dev": 1002},
)
BOB = sold("bob", uid=1003)
SSHD = "/system.slice/ssh.service"


def where(
    uid: int, cgroup: str, program: str = "", command: str | None = "", *, settled: bool = True, **host: object
) -> str:
    """Where a process ends up: its new place, or the old one when it may stay."""
    exempt = frozenset({1009})
    places = Placement(fleet(ALICE, BOB, host=Host(**host), exempt=exempt))  # type: ignore[arg-type]
    process = Process(1, uid, cgroup, 1, program, command, settled)
    moved = places.correction(process)
    return moved.cgroup if moved else cgroup


CASES = [
    ("a stray of nobody's service", (1001, SSHD, "bash"), "users/alice/other"),
    ("a stray that a service claims", (1001, SSHD, "apache2"), "users/alice/web"),
    ("the second user of the account", (1002, SSHD, "bash"), "users/alice/other"),
    ("all conditions must fit", (1001, SSHD, "php-fpm8.2", "php-fpm: pool alice"), "users/alice/php"),
    (
        "fewer conditions when the rest does not fit",
        (1001, SSHD, "php-fpm8.2", "php-fpm: pool bob"),
        "users/alice/all-php",
    ),
    ("priority goes before conditions", (1001, SSHD, "php-fpm8.2", "urgent pool alice"), "users/alice/first"),
    ("a user is a condition too", (1002, SSHD, "node"), "users/alice/dev"),
    ("a condition on another user", (1001, SSHD, "node"), "users/alice/other"),
    ("a session stays where its door led", (1001, "users/alice/login", "bash"), "users/alice/login"),
    ("a child that no service claims stays with its parent", (1001, "users/alice/web", "sh"), "users/alice/web"),
    ("claimed processes leave the session's leaf", (1001, "users/alice/login", "apache2"), "users/alice/web"),
    ("a leaf that is gone", (1001, "users/alice/old", "sh"), "users/alice/other"),
    ("another account's tree", (1001, "users/bob/login", "bash"), "users/alice/other"),
    ("penalty is not a home", (1001, "penalty", "bash"), "users/alice/other"),
    ("root", (0, SSHD, "sshd"), SSHD),
    ("a uid below the range", (33, SSHD, "apache2"), SSHD),
    ("a uid above the range", (65534, SSHD, "x"), SSHD),
    ("an exempt user, even in a tree", (1009, "users/alice/login", "bash"), "users/alice/login"),
    ("a user without an account", (1005, SSHD, "bash"), SSHD),
    ("a user who left an account", (1005, "users/alice/login", "bash"), "users/alice/login"),
    ("a user without an account in penalty", (1005, "penalty", "bash"), "penalty"),
    ("a user of an account that is going", (1005, "users/gone/login", "bash"), "users/gone/login"),
]


@pytest.mark.parametrize(("process", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_place(process: tuple[int, str, str], expected: str) -> None:
    assert where(*process) == expected


@pytest.mark.parametrize(
    ("cgroup", "program", "expected"),
    [
        (SSHD, "bash", "users/alice/other"),
        (SSHD, "php-fpm8.2", "users/alice/all-php"),
        ("users/alice/php", "php-fpm8.2", "users/alice/php"),
        ("users/bob/other", "bash", "users/alice/other"),
    ],
)
def test_a_command_line_that_cannot_be_read_fits_no_rule_and_moves_nobody_within_the_account(
    cgroup: str, program: str, expected: str
) -> None:
    assert where(1001, cgroup, program, None) == expected


def test_whose_command_lines_could_not_be_read_is_told_by_account() -> None:
    processes = [Process(pid, 1001, "users/alice/web", 1, "x", None) for pid in range(1, 8)]
    late = Placement(fleet(ALICE, BOB)).late([*processes, Process(9, 1003, "users/bob/other")])
    assert late == {
        "users/alice": "1, 2, 3, 4, 5 and 2 more of users/alice kept their command lines from being read in time: "
        "no rule by `command` holds for them until the next run"
    }


def test_a_process_between_two_identities_is_never_moved() -> None:
    assert where(1001, SSHD, "su", settled=False) == SSHD


@pytest.mark.parametrize(
    ("uid", "cgroup", "expected"),
    [(1005, SSHD, "penalty"), (1005, "penalty", "penalty"), (1005, "users/gone/x", "users/gone/x"), (1009, SSHD, SSHD)],
)
def test_policy_penalty(uid: int, cgroup: str, expected: str) -> None:
    assert where(uid, cgroup, without_account="penalty") == expected


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [(SSHD, "penalty"), ("users/alice/web", "users/alice/web"), ("penalty", "penalty"), ("users/bob/login", "penalty")],
)
def test_who_may_be_another_person_is_confined_and_no_part_of_the_account(cgroup: str, expected: str) -> None:
    places = Placement(fleet(ALICE, BOB)._replace(doubtful=frozenset({1001})))
    process = Process(1, 1001, cgroup, 1, "bash", "", settled=True)
    assert places.place(process) == expected
    assert places.confined(process._replace(cgroup=expected))
