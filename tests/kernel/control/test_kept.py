"""Kept connections to a running daemon, of real uids: many requests, events, and those who hold what they are let."""

import json
from pathlib import Path

import pytest

from tests.support.kernel.control import ALICE, BOB, ControlClients
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

KEEP = """
def keep():
    s = connect(); s.sendall(b'{"keep": true}\\n'); return s, s.makefile("rb")
def send(s, **request): s.sendall(json.dumps(request).encode() + b"\\n")
"""


def test_one_connection_asks_many_things(guests: ControlClients) -> None:
    program = (
        "s, lines = keep()\n"
        "for n in range(12): send(s, id=n, verb='me' if n % 2 else 'who')\n"
        "print(json.dumps([json.loads(lines.readline()) for _ in range(12)]))"
    )
    answers = json.loads(guests.play(ALICE, KEEP + program))
    assert sorted(answer["id"] for answer in answers) == list(range(12))
    assert {answer["told"]["account"] for answer in answers} == {"alice"}


def test_who_asks_too_often_is_slowed_and_not_disconnected(guests: ControlClients) -> None:
    program = (
        "s, lines = keep()\n"
        "for n in range(34): send(s, id=n, verb='ping')\n"
        "begin = time.monotonic()\n"
        "for _ in range(34): assert b'version' in lines.readline()\n"
        "print(time.monotonic() - begin)"
    )
    assert 1 < float(guests.play(ALICE, KEEP + program)) < 15


def test_a_customer_hears_of_the_own_account_alone(guests: ControlClients, host: TestHost, run: Path) -> None:
    program = (
        "s, lines = keep(); send(s, id=1, verb='events'); lines.readline(); print(flush=True)\n"
        "event = json.loads(lines.readline())['event']; print(json.dumps(event), flush=True); s.settimeout(2)\n"
        "try: print(lines.readline())\n"
        "except TimeoutError: print('silence')"
    )
    config = host.etc / "config.yaml"
    config.write_text(f"{config.read_text()}metering: {{every: 1s}}\n")
    wait_for((run / "sampled").exists, what="what happens is measured")
    clients = [guests.start(uid, KEEP + program) for uid in (ALICE, BOB)]
    for client in clients:
        assert client.stdout
        assert client.stdout.readline()
    host.account("bob", f"{NO_LIMIT}\nservices: {{late: {{{NO_LIMIT}}}}}\n")
    wait_for(lambda: "bob/late" in host.tree(), what="bob's file is applied")
    host.account("alice", f"{NO_LIMIT}\nservices: {{late: {{{NO_LIMIT}}}}}\n")
    wait_for(lambda: "alice/late" in host.tree(), what="alice's file is applied")
    heard = [client.communicate(timeout=60)[0].splitlines() for client in clients]
    for (event, *rest), name in zip(heard, ("alice", "bob"), strict=True):
        assert json.loads(event)["account"] == name
        assert json.loads(event)["kind"] == "changed"
        assert "bob" not in "".join(rest) if name == "alice" else True


def test_one_user_keeps_eight(guests: ControlClients) -> None:
    program = (
        "held = [keep() for _ in range(20)]; told = 0\n"
        "for s, lines in held:\n"
        "  try: send(s, id=1, verb='ping')\n"
        "  except OSError: pass\n"
        "  try: told += b'version' in lines.readline()\n"
        "  except OSError: pass\n"
        "print(told)"
    )
    assert int(guests.play(ALICE, KEEP + program)) <= 8
    assert guests.ask(ALICE, "me")["told"]["account"] == "alice"


def test_a_file_that_is_refused_is_not_read_as_requests(guests: ControlClients) -> None:
    program = (
        's, lines = keep(); body = b\'{"id": 8, "verb": "me"}\\n\' * 3\n'
        "send(s, id=7, verb='put', about='alice', body=len(body)); s.sendall(body)\n"
        "send(s, id=9, verb='ping')\n"
        "print(json.dumps([json.loads(lines.readline())['id'] for _ in range(2)]))"
    )
    assert json.loads(guests.play(ALICE, KEEP + program)) == [7, 9]
