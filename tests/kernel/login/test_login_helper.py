"""The login helper: a password by PAM, then a connection to the daemon as that user, then a process without rights."""

import json
import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from paas_isolate.login.tries import FILE, NAME
from paas_isolate.source import tokens
from tests.support.kernel.host import ALICE
from tests.support.kernel.page_logins import (
    ADDRESS,
    PASSWORD,
    RELAY,
    FakeDaemon,
    PageLogins,
    login,
    receive,
    send,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

WRONG = {"error": "wrong user name or password", "status": 1}


@pytest.fixture
def page() -> Iterator[PageLogins]:
    """Not in pytest's directory, which only root may enter: the daemon's socket is connected to by a customer's uid."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        yield PageLogins(Path(place))


@pytest.fixture
def daemon(page: PageLogins) -> Iterator[FakeDaemon]:
    begun = FakeDaemon(page.run)
    yield begun
    begun.server.close()


def status(helper: subprocess.Popen[str]) -> dict[str, str]:
    lines = Path(f"/proc/{helper.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_a_right_password_makes_a_connection_of_that_user(page: PageLogins, daemon: FakeDaemon) -> None:
    with page.logged_in() as (web, told, _):
        assert told["told"] == {
            "user": "alice",
            "uid": ALICE,
            "administrator": False,
            "account": "alice",
            "suspended": True,
        }
        assert daemon.peers == [ALICE]
        assert daemon.lines == [{"narrow": {"from": ADDRESS}}, {"keep": True}, {"verb": "who", "id": 0}]
        send(web, {"verb": "me", "id": 7})
        assert receive(web) == {"id": 7, "error": "you have no account on this machine", "status": 1}
        send(web, {"verb": "echo", "text": "x" * 3_000_000})
        assert len(receive(web)["text"]) == 3_000_000


def test_after_the_login_nothing_is_left_of_root_or_of_the_password(page: PageLogins, daemon: FakeDaemon) -> None:
    with page.logged_in() as (_, told, helper):
        assert "told" in told
        wait_for(lambda: status(helper)["Uid"].split() == [str(RELAY)] * 4, what="it has stepped down")
        found = status(helper)
        assert found["Gid"].split() == [str(RELAY)] * 4
        assert (found["Groups"], found["NoNewPrivs"]) == ("", "1")
        assert {int(found[f"Cap{each}"], 16) for each in ("Inh", "Prm", "Eff", "Amb")} == {0}
        place = Path(f"/proc/{helper.pid}")
        assert sorted(map(int, os.listdir(place / "fd"))) == [0, 1, 2]
        assert (place / "environ").read_bytes() == b""
        assert PASSWORD.encode() not in (place / "cmdline").read_bytes()
        assert PASSWORD.encode() not in memory(place)


def memory(place: Path) -> bytes:
    """All that the process has written."""
    parts = []
    with (place / "mem").open("rb", buffering=0) as file:
        for line in (place / "maps").read_text().splitlines():
            first, last, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()  # type: ignore[union-attr]
            if rights.startswith("rw"):
                file.seek(int(first, 16))
                parts.append(file.read(int(last, 16) - int(first, 16)))
    return b"".join(parts)


def test_no_process_of_the_customers_uid_stands_outside_the_tree(page: PageLogins, daemon: FakeDaemon) -> None:
    """The real uid decides where a process belongs (observe.py)."""
    seen: set[tuple[int, ...]] = set()
    web, helper = page.start()
    with web:
        send(web, login())
        while not {(RELAY,) * 4} & seen:
            seen.add(tuple(map(int, status(helper)["Uid"].split())))
        helper.kill()
        helper.communicate()
    assert {uids[0] for uids in seen} == {0, RELAY}
    assert {uids[2] for uids in seen} == {0, RELAY}


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("alice", "wrong"),
        ("alice", ""),
        ("alice", PASSWORD + "\0"),
        ("nobody-of-that-name", PASSWORD),
        ("root", PASSWORD),
        ("empty", ""),
        ("-l", PASSWORD),
        ("alice\n", PASSWORD),
        ("../x", PASSWORD),
        ("", PASSWORD),
        ("alice\0", PASSWORD),
        ("a" * 65, PASSWORD),
        ("\u202ealice", PASSWORD),
    ],
)
def test_what_is_wrong_is_answered_alike_and_after_the_same_time(
    page: PageLogins, daemon: FakeDaemon, user: str, password: str
) -> None:
    begun = time.monotonic()
    told, log = page.answer(login(user, password))
    assert told == WRONG
    assert time.monotonic() - begun >= 5  # PAM's own time is within
    why = {"root": "root", "alice": "wrong", "empty": "wrong"}.get(user, "unknown")
    who = user if why != "unknown" else ""  # it may be a password
    assert daemon.peers == [0]
    assert [(line["verb"], line["options"]) for line in daemon.lines] == [
        ("login-refused", {"why": why, "user": who, "from": ADDRESS})
    ]
    assert log.startswith("refused: ")
    assert log.count("\n") == 1
    assert user in ("", "root") or user not in log


def test_pam_hears_the_address_and_opens_no_session(page: PageLogins, daemon: FakeDaemon) -> None:
    script = page.place / "heard.sh"
    script.write_text(f'#!/bin/sh\necho "$PAM_TYPE $PAM_SERVICE $PAM_USER $PAM_RHOST" >>{page.place}/heard\n')
    script.chmod(0o755)
    stack = page.place / "pam.d" / "paas-isolate-web"
    with stack.open("a") as file:
        file.writelines(
            f"{kind} optional pam_exec.so {script}\n" for kind in ("auth", "account", "session", "password")
        )
    assert "told" in page.answer(login())[0]
    assert (page.place / "heard").read_text().splitlines() == [
        f"auth paas-isolate-web alice {ADDRESS}",
        f"account paas-isolate-web alice {ADDRESS}",
    ]


def test_root_is_let_in_where_config_says_so(page: PageLogins, daemon: FakeDaemon) -> None:
    (page.etc / "config.yaml").write_text("web: {root: true}\n")
    with page.logged_in(user="root") as (_, told, helper):
        assert told["told"]["user"] == "root"
        assert daemon.peers == [0]
        wait_for(lambda: status(helper)["Uid"].split() == [str(RELAY)] * 4, what="it has stepped down")


def test_who_knows_the_password_learns_why_not(page: PageLogins, daemon: FakeDaemon) -> None:
    told, _ = page.answer(login("expired"))
    assert re.search("expired|may not log in", told["error"])
    assert page.answer(login("expired", "wrong"))[0] == WRONG
    assert [line["options"]["why"] for line in daemon.lines] in (["expired", "wrong"], ["closed", "wrong"])
    daemon.account = None
    assert page.answer(login())[0] == {"error": "you have no account on this machine", "status": 1}


def test_without_a_daemon_it_says_so(page: PageLogins) -> None:
    assert page.answer(login())[0] == {"error": "the daemon of paas-isolate does not answer: try again", "status": 1}


def test_a_daemon_that_does_not_answer_delays_no_refusal(page: PageLogins) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(page.run / "control.sock"))
        silent.listen()
        begun = time.monotonic()
        assert page.answer(login(password="wrong"))[0] == WRONG
        assert time.monotonic() - begun < 7


@pytest.mark.hostile
@pytest.mark.parametrize(
    "line",
    [
        b"x" * 1_000_000,
        b"[" * 4000 + b"\n",
        b"\xff\n",
        b"null\n",
        b'{"user": "alice", "password": 1, "from": ""}\n',
        b'{"user": "\\ud800", "password": "x", "from": ""}\n',
        json.dumps(login() | {"from": "x\r\ny"}).encode() + b"\n",
        json.dumps(login() | {"scope": "read"}).encode() + b"\n",
        json.dumps(login()).encode() + b'\n{"narrow": {}}\n',
    ],
    ids=["long", "deep", "bytes", "null", "number", "surrogate", "address", "key", "more"],
)
def test_another_line_is_no_login(page: PageLogins, daemon: FakeDaemon, line: bytes) -> None:
    web, helper = page.start()
    with web:
        try:
            send(web, line)
        except (BrokenPipeError, ConnectionResetError):
            assert len(line) == 1_000_000
        told = receive(web)
    assert told.get("status") == 2 or len(line) == 1_000_000
    helper.communicate(timeout=20)
    assert daemon.peers == []


@pytest.mark.hostile
def test_silence_is_ended(page: PageLogins) -> None:
    web, helper = page.start()
    with web:
        send(web, b'{"user": ')
        assert receive(web)["error"] == "a login must come within 5 seconds"
        helper.communicate(timeout=20)
    web, helper = page.start()
    web.close()
    assert "Traceback" not in helper.communicate(timeout=20)[1]


@pytest.mark.hostile
def test_many_tries_are_refused_and_kept_without_names(page: PageLogins, daemon: FakeDaemon) -> None:
    with ThreadPoolExecutor(8) as many:
        told = list(many.map(lambda _: page.answer(login("bob", "wrong"))[0], range(int(NAME.burst) + 8)))
    assert NAME.burst <= told.count(WRONG) <= NAME.burst + 3  # one more a minute
    assert [each["status"] for each in told if each != WRONG].count(75) == len(told) - told.count(WRONG)
    assert "told" in page.answer(login("alice"))[0]
    assert not re.search(r"bob|alice|192\.", (page.run / FILE).read_text())
    assert (page.run / FILE).stat().st_mode & 0o777 == 0o600


def test_a_token_asks_as_root_within_its_bounds(page: PageLogins, daemon: FakeDaemon) -> None:
    token, secret = tokens.made(name="panel", scope="read", accounts=("bob",), now=0, expires=None, ids=())
    old, gone = tokens.made(name="old", scope="administer", accounts=None, now=0, expires=5, ids=())
    tokens.save(str(page.state), [token, old])
    with page.logged_in(token=secret) as (_, told, helper):
        assert told["told"]["user"] == f"token {token.id}"
        assert daemon.peers == [0]
        assert daemon.lines[0] == {"narrow": {"scope": "read", "accounts": ["bob"], "from": ADDRESS}}
        wait_for(lambda: status(helper)["Uid"].split() == [str(RELAY)] * 4, what="it has stepped down")
    for each in (gone, secret[:-1], "pi_", ""):
        assert page.answer(login(token=each))[0] == {"error": "this token is unknown, or has expired", "status": 1}
    assert daemon.lines[-1]["options"] == {"why": "token", "user": "", "from": ADDRESS}
    tokens.save(str(page.state), [])
    assert "error" in page.answer(login(token=secret))[0]


def test_either_side_ends_the_login(page: PageLogins, daemon: FakeDaemon) -> None:
    with page.logged_in() as (web, told, helper):
        assert "told" in told
        send(web, {"verb": "echo"})
        web.shutdown(socket.SHUT_WR)
        assert receive(web) == {"verb": "echo"}
        assert receive(web) == {}
        assert helper.wait(20) == 0
    with page.logged_in() as (web, told, helper):
        assert "told" in told
        web.close()
        assert helper.wait(20) == 0


@pytest.mark.long
@pytest.mark.hostile
def test_two_hundred_logins_at_once(page: PageLogins, daemon: FakeDaemon) -> None:
    with ThreadPoolExecutor(200) as many:
        told = list(many.map(lambda n: page.answer(login() | {"from": f"192.0.2.{n}"})[0], range(200)))
    assert sum("told" in each for each in told) + sum(each.get("status") == 75 for each in told) == 200
    assert sum("told" in each for each in told) >= NAME.burst
