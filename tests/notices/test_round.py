"""Whole rounds, with a ledger, a mail server and a webhook of the test's own."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.ledger import faults
from paas_isolate.ledger.database import NAME, open_for_writing
from paas_isolate.metering.faults import Fault, Kind, Level
from paas_isolate.metering.notices import Phase
from paas_isolate.model.account import Account, Fleet, Host
from paas_isolate.model.limits import NO_LIMITS
from paas_isolate.model.metering import MeteringConfig
from paas_isolate.model.notices import MailConfig, NoticeRule, Target, Trigger
from paas_isolate.notices import memory
from paas_isolate.notices.facts import Look, Place
from paas_isolate.notices.round import Directories, Ended, Round, alone
from tests.support.receivers import HookServer, MailServer, hooks, mails

MINUTE, HOUR = 60_000, 3_600_000
KILLED = Trigger("killed", HOUR, number=2)


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mails() as found:
        yield found


@pytest.fixture
def hook() -> Iterator[HookServer]:
    with hooks() as found:
        yield found


def account(name: str, **more: Any) -> Account:
    return Account(name, name, {name: 1001}, name, "/", "small", NO_LIMITS, (), **more)


class Scene:
    """A machine with alice and bob, whose faults a test makes up."""

    def __init__(self, place: Path, server: MailServer, *rules: NoticeRule) -> None:
        self.place = place
        (place / "run").mkdir()
        (place / "state").mkdir()
        (place / "tree/users/alice").mkdir(parents=True)
        self.warnings: list[str] = []
        open_for_writing(str(place / "ledger"), self.warnings.append).close()
        self.fleet = Fleet(Host(), {"alice": account("alice"), "bob": account("bob", mail="bob@example.org")})
        self.mail = MailConfig(server.address, "paas@example.org", "boss@example.org")
        self.now = time.time_ns() // 1_000_000
        self.rule(*rules)

    def rule(self, *rules: NoticeRule) -> None:
        self.rules = rules
        metering = MeteringConfig(notices=rules, mail=self.mail)
        self.fleet = self.fleet._replace(host=Host(metering=metering))

    def fault(self, directory: str, number: int, kind: Kind = Kind.KILLED) -> None:
        with closing(sqlite3.connect(self.place / "ledger" / NAME)) as connection, connection:
            found = Fault(kind, Level.LEAF, directory, "web", "small", 1000, self.now - 1000, number)
            faults.add(connection, 1, [found])

    def round(self, after: int = 0) -> Ended:
        self.now += after
        directories = Directories(*(str(self.place / name) for name in ("etc", "state", "run")))
        place = Place(str(self.place), str(self.place / "tree"), str(self.place / "ledger"))
        return Round(self.fleet, directories, place, self.warnings.append).send(self.now)


def killed(kind: str, word: str, every: int = HOUR) -> NoticeRule:
    return NoticeRule("memory killed 2 times in 1h", KILLED, Target(kind, (word,)), every)


def test_customer_and_administrator_are_told_once_and_when_it_is_over(tmp_path: Path, server: MailServer) -> None:
    scene = Scene(tmp_path, server, killed("mail", "customer"), killed("mail", "administrator"))
    assert scene.round() == Ended()
    scene.fault("alice", 1)
    assert scene.round(MINUTE) == Ended()
    scene.fault("alice", 1)
    scene.fault("bob", 5)
    assert len(scene.round(MINUTE).sent) == 4
    to = [mail.recipients for mail in server.mails]
    assert to == [("alice",), ("bob@example.org",), ("boss@example.org",), ("boss@example.org",)]
    for _ in range(5):  # each round is a new program: a restart of the daemon changes nothing
        assert scene.round(MINUTE) == Ended()
    ended = scene.round(HOUR)
    assert {each.phase for each in ended.sent} == {Phase.OVER}
    assert len(server.mails) == 8
    assert scene.round(MINUTE) == Ended()
    assert scene.warnings == []


def test_customers_who_want_no_mail_get_none_and_administrators_do(tmp_path: Path, server: MailServer) -> None:
    scene = Scene(tmp_path, server, killed("mail", "customer"), killed("mail", "administrator"))
    memory.switch(str(tmp_path / "state"), "bob", on=False)
    scene.fault("bob", 2)
    scene.round()
    assert [mail.recipients for mail in server.mails] == [("boss@example.org",)]


def test_a_failure_is_said_once_and_tried_again(tmp_path: Path, server: MailServer, hook: HookServer) -> None:
    scene = Scene(tmp_path, server, killed("webhook", hook.url), killed("mail", "administrator"))
    scene.fault("alice", 2)
    scene.fault("bob", 2)
    hook.status = 503
    for _ in range(3):
        assert len(scene.round(MINUTE).unsent) == 2
    assert len(hook.posted) == 3  # once a round: it is not asked again for the next account
    assert len(server.mails) == 2  # the failure of one target is not that of another
    assert len(scene.warnings) == 1 and "answers 503" in scene.warnings[0]
    hook.status = 200
    assert len(scene.round(MINUTE).sent) == 2
    scene.fault("alice", 2)
    hook.status = 503
    scene.round(HOUR)
    assert len(scene.warnings) == 2


def test_nobody_is_told_of_an_account_that_is_gone(tmp_path: Path, server: MailServer) -> None:
    scene = Scene(tmp_path, server, killed("mail", "customer"), killed("mail", "administrator"))
    scene.fault("bob", 2)
    assert len(scene.round().sent) == 2
    scene.fleet = scene.fleet._replace(accounts={"alice": account("alice")})
    assert scene.round(MINUTE) == Ended()
    assert memory.load(str(tmp_path / "state"), str(tmp_path / "run")).told == {rule.key: {} for rule in scene.rules}


def test_a_customer_without_an_address_is_said_once(tmp_path: Path, server: MailServer) -> None:
    scene = Scene(tmp_path, server, killed("mail", "customer"))
    odd = account("alice")._replace(owner="DOMAIN\\alice")
    scene.fleet = scene.fleet._replace(accounts={"alice": odd})
    scene.fault("alice", 2)
    for _ in range(2):
        assert len(scene.round(MINUTE).unsent) == 1
    assert len(scene.warnings) == 1 and "has no mail address" in scene.warnings[0]


def test_one_address_that_is_refused_holds_nobody_else(tmp_path: Path, server: MailServer) -> None:
    server.refused.add("alice")
    scene = Scene(tmp_path, server, killed("mail", "customer"))
    scene.fault("alice", 2)
    scene.fault("bob", 2)
    ended = scene.round()
    assert ([each.account for each in ended.sent], [each.notice.account for each in ended.unsent]) == (
        ["bob"],
        ["alice"],
    )


def test_where_nothing_can_be_remembered_nothing_is_sent(tmp_path: Path, server: MailServer) -> None:
    scene = Scene(tmp_path, server, killed("mail", "customer"))
    scene.fault("alice", 2)
    for name in ("run", "state"):
        (tmp_path / name).rmdir()
        (tmp_path / name).write_text("")
    with pytest.raises(OSError):
        scene.round()
    assert server.mails == []


def test_without_a_ledger_rules_about_faults_wait_and_others_do_not(tmp_path: Path, server: MailServer) -> None:
    rule = NoticeRule("memory above 90%", Trigger("memory", 0, percent=90), Target("mail", ("administrator",)))
    scene = Scene(tmp_path, server, killed("mail", "customer"), rule)
    (tmp_path / "ledger" / NAME).write_text("no database")
    leaf = tmp_path / "tree/users/alice"
    (leaf / "memory.max").write_text("1000\n")
    (leaf / "memory.stat").write_text("anon 900\nfile 100\nshmem 50\n")
    assert [each.rule.when for each in scene.round().sent] == ["memory above 90%"]
    scene.round(MINUTE)
    assert len([each for each in scene.warnings if "faults are not looked at" in each]) == 1


def test_shares_are_of_limits_and_memory_is_without_the_cache(tmp_path: Path, server: MailServer) -> None:
    scene = Scene(tmp_path, server)
    leaf = tmp_path / "tree/users/alice"
    place = Place(str(tmp_path), str(tmp_path / "tree"), str(tmp_path / "ledger"))

    def holds(what: str, before: dict[str, tuple[int, int]] | None = None, percent: int = 50) -> dict[str, int]:
        rule = NoticeRule(what, Trigger(what, 0, percent=percent), Target("mail", ("a",)))
        look = Look(scene.fleet, place, before or {}, scene.warnings.append)
        return dict(look.find([rule], scene.now)[rule.key])

    (leaf / "memory.max").write_text("1000\n")
    (leaf / "memory.stat").write_text("anon 400\nfile 600\nshmem 50\n")
    (leaf / "pids.max").write_text("10\n")
    (leaf / "pids.current").write_text("8\n")
    (leaf / "cpu.max").write_text("50000 100000\n")
    (leaf / "cpu.stat").write_text("usage_usec 30000000\nuser_usec 1\n")
    assert holds("memory") == {}
    assert holds("processes") == {"alice": 80}
    assert holds("cpu") == {}  # there was no look before
    boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    (share,) = holds("cpu", {"alice": (6_000_000, boot - MINUTE)}).values()
    assert share in (79, 80)  # 24 s in 60 s, of half a core
    assert holds("cpu", {"alice": (90_000_000, boot - MINUTE)}) == {}  # another cgroup of the same name
    for name, text in (("memory.max", "max\n"), ("pids.max", "max\n"), ("cpu.max", "max 100000\n")):
        (leaf / name).write_text(text)
    assert [holds(what, percent=1) for what in ("memory", "processes", "cpu")] == [{}, {}, {}]  # netdata 12433


def test_two_rounds_do_not_meet(tmp_path: Path) -> None:
    with alone(str(tmp_path)) as first, alone(str(tmp_path)) as second:
        assert (first, second) == (True, False)
    with alone(str(tmp_path)) as later:
        assert later
