"""The control socket on this kernel: real connections of real uids to a running daemon."""

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.kernel.control import ALICE, BOB, CAROL, DENIED, ControlClients
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.kernel.running_daemon import RunningDaemon
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel


def descriptors(daemon: RunningDaemon) -> int:
    return len(os.listdir(f"/proc/{pid_of(daemon)}/fd"))


def pid_of(daemon: RunningDaemon) -> int:
    """`unshare` and sh become the daemon."""
    return daemon.process.pid


def test_a_customer_is_answered_about_the_own_account_alone(guests: ControlClients) -> None:
    told = guests.ask(ALICE, "me")["told"]
    assert told["account"] == "alice"
    assert [cgroup["path"] for cgroup in told["cgroups"]] == [
        "users/alice",
        *(f"users/alice/{leaf}" for leaf in ("web", "login", "other")),
    ]
    assert {cgroup["state"] for cgroup in told["cgroups"]} == {"ok"}
    assert not re.search("bob|carol", json.dumps(told))
    assert guests.ask(BOB, "me")["told"]["account"] == "bob"


def test_anothers_account_is_answered_like_one_that_does_not_exist(guests: ControlClients) -> None:
    for verb in ("me", "usage", "file", "put"):
        about_bob = json.dumps(guests.ask(ALICE, verb, "bob"))
        assert about_bob == json.dumps(guests.ask(ALICE, verb, "nob")).replace("nob'", "bob'")
    assert guests.ask(ALICE, "reconcile") == DENIED


def test_a_user_without_an_account_is_told_so(guests: ControlClients) -> None:
    assert "no account" in guests.ask(ALICE + 900, "me")["error"]
    assert "exempt" in guests.ask(CAROL, "me")["error"]
    assert guests.ask(CAROL, "ping") == guests.ask(ALICE, "ping")


def test_root_has_all_of_it(guests: ControlClients, daemon: RunningDaemon, host: TestHost) -> None:
    assert guests.ask(0, "me", "bob")["told"]["account"] == "bob"
    assert "bo'" in guests.ask(0, "me", "bo")["error"]
    assert "name one" in guests.ask(0, "me")["error"]
    os.rmdir(f"{host.cgroups.root}/users/bob/other")
    done = guests.ask(0, "reconcile", account="bob")["told"]
    assert (done["done"], done["status"], done["remaining"]) == (1, 0, [])
    assert "bob/other" in host.tree()
    daemon.says(r"a run for bob asked for by pid \d+ of uid 0")
    assert guests.ask(0, "reconcile", account="bo") == {
        "error": "no account is called 'bo'; did you mean bob?",
        "status": 2,
    }


def test_root_of_a_user_namespace_counts_with_its_uid_outside(guests: ControlClients) -> None:
    program = (
        "libc = __import__('ctypes').CDLL(None)\n"
        "assert libc.prctl(4, 1) == 0 and libc.unshare(0x10000000) == 0  # PR_SET_DUMPABLE, CLONE_NEWUSER\n"
        "open('/proc/self/setgroups', 'w').write('deny')\n"
        "open('/proc/self/uid_map', 'w').write(f'0 {uid} 1'); assert os.getuid() == 0\n"
        "print(json.dumps([verb('me'), verb('reconcile')]))"
    )
    me, reconcile = json.loads(guests.play(ALICE, program))
    assert me["told"]["account"] == "alice"
    assert reconcile["error"] == "this needs an administrator"


def test_a_connection_belongs_to_the_uid_that_opened_it(guests: ControlClients) -> None:
    program = (
        "s = connect(); a, b = socket.socketpair(); pid = os.fork()\n"
        "if pid:\n  socket.send_fds(a, [b'x'], [s.fileno()]); os.waitpid(pid, 0)\n"
        "else:\n"
        "  _, (fd,), *_ = socket.recv_fds(b, 1, 1); t = socket.socket(fileno=fd); t.setblocking(True)\n"
        '  t.sendall(b\'{"verb": "me"}\\n\'); print(rest(t).decode(), flush=True); os._exit(0)'
    )
    assert json.loads(guests.play(ALICE, program))["told"]["account"] == "alice"


NONSENSE = {
    "no json": 'b"hello\\n"',
    "empty": 'b"\\n"',
    "nul": 'b"\\0\\0\\0\\n"',
    "nul in a verb": 'b\'{"verb": "me\\\\u0000"}\\n\'',
    "no utf-8": 'b\'{"verb": "\\xff\\xfe"}\\n\'',
    "half a surrogate": 'b\'{"verb": "\\\\ud800"}\\n\'',
    "another kind": 'b"[]\\n"',
    "options are none": 'b\'{"verb": "me", "options": 7}\\n\'',
    "an option is none": 'b\'{"verb": "me", "options": {"x": ["x"]}}\\n\'',
    "a key of no meaning": 'b\'{"verb": "me", "words": []}\\n\'',
    "brackets": 'b"[" * 4000 + b"\\n"',
    "a number": 'b"9" * 4000 + b"\\n"',
    "too long": 'b"x" * 5000',
    "endless": 'b"x" * 3_000_000',
    "unknown": 'b\'{"verb": "shutdown"}\\n\'',
}


def test_nonsense_is_refused_in_words(guests: ControlClients, daemon: RunningDaemon) -> None:
    """Each by another uid: who asks often is answered otherwise."""
    for uid, (what, line) in enumerate(NONSENSE.items(), ALICE + 100):
        said = json.loads(guests.play(uid, f"print(json.dumps(ask({line})))"))
        assert said["error"], what
        assert said["status"] == 2, what
    assert guests.ask(ALICE, "me")["told"]["account"] == "alice"
    assert daemon.process.poll() is None


def test_descriptors_that_come_along_are_dropped(guests: ControlClients, daemon: RunningDaemon) -> None:
    guests.ask(ALICE, "me")
    before = descriptors(daemon)
    program = (
        "null = os.open('/dev/null', os.O_RDONLY)\n"
        "for _ in range(8):\n"
        "  with connect() as s:\n"
        "    socket.send_fds(s, [b'{\"verb\":'], [null] * 100); socket.send_fds(s, [b'\"ping\"}\\n'], [null] * 100)\n"
        "    assert b'version' in rest(s)"
    )
    guests.play(ALICE, program)
    wait_for(lambda: descriptors(daemon) <= before, what="none of them stays")


HOSTILE = {
    "half lines": "print(flush=True)\nwhile True:\n  with connect() as s: s.sendall(b'{'); s.recv(99)",
    "silence": "held = [connect() for _ in range(50)]; print(flush=True); time.sleep(60)",
    "drops": "print(flush=True)\nwhile True:\n  s = connect(); s.send(b'{'); s.close()",
    "a byte at a time": (
        "print(flush=True)\nwhile True:\n  with connect() as s:\n"
        "    try:\n      while s.send(b'x'): time.sleep(0.001)\n    except OSError: pass"
    ),
    "questions": "print(flush=True)\nwhile True: verb('me')",
    "nobody reads": (
        "print(flush=True)\nheld = []\nwhile True:\n"
        '  s = connect(); s.send(b\'{"verb": "me"}\\n\'); held = [*held[-200:], s]'
    ),
    "giants": "print(flush=True)\nwhile True: ask(b'x' * 1_000_000)",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_whatever_one_customer_does_the_others_are_served(
    guests: ControlClients, daemon: RunningDaemon, host: TestHost, what: str
) -> None:
    """By four processes of one uid, while bob asks and an administrator saves a file."""
    guests.ask(BOB, "ping")
    before = descriptors(daemon)
    hostile = [guests.start(ALICE, HOSTILE[what]) for _ in range(4)]
    try:
        for process in hostile:
            assert process.stdout
            assert process.stdout.readline()
        for _ in range(4):
            assert guests.ask(BOB, "me")["told"]["account"] == "bob"
        host.account("alice", f"{NO_LIMIT}\nservices: {{late: {{{NO_LIMIT}}}}}\n")
        wait_for(lambda: "alice/late" in host.tree(), what="the file is applied")
        assert descriptors(daemon) <= before + 4 + 16
    finally:
        for process in hostile:
            process.kill()
            process.communicate()
    wait_for(lambda: descriptors(daemon) <= before, what="all of it is forgotten")
    assert daemon.process.poll() is None


def test_ten_thousand_connections_are_told_to_come_again(guests: ControlClients, daemon: RunningDaemon) -> None:
    """Of a uid that holds as many as it is let, and of many uids."""
    guests.ask(BOB, "ping")
    before = descriptors(daemon)
    program = (
        "import selectors\n"
        "held = []; n = 0; end = time.monotonic() + 8\n"
        "while n < 10000 and time.monotonic() < end:\n"
        "  s = socket.socket(socket.AF_UNIX); s.setblocking(False); n += 1\n"
        "  try: s.connect(path); held = [*held[-500:], s]\n"
        "  except BlockingIOError: s.close()\n"
        "print(n)"
    )
    assert guests.play(ALICE, program).strip() == "10000"
    assert guests.ask(BOB, "me")["told"]["account"] == "bob"
    # the daemon ends a silent connection after five seconds, and forty programs may take longer to begin
    holds = "import select\nwhile not select.select([0], [], [], 2)[0]: s = None; s = [connect() for _ in range(4)]"
    silent = [guests.start(ALICE + 200 + n, holds) for n in range(40)]
    try:
        # bob's own connection may have been there still when they were counted
        wait_for(lambda: descriptors(daemon) >= before + 31, what="many hold what they are let")
        assert descriptors(daemon) <= before + 32 + 16
        for uid in (0, BOB):
            assert guests.ask(uid, "me", *(["bob"] if uid == 0 else []))["told"]["account"] == "bob"
    finally:
        for process in silent:
            process.communicate("\n")
    wait_for(lambda: descriptors(daemon) <= before, what="all of it is forgotten")
    assert guests.ask(BOB, "me")["told"]["account"] == "bob"


@pytest.mark.hostile
def test_a_customer_with_many_uids_leaves_the_others_their_turn(guests: ControlClients) -> None:
    """Those of a user namespace, which newuidmap(1) hands out: together they ask more than the daemon answers."""
    asks = "print(flush=True)\nwhile True: verb('ping'); time.sleep(0.05)"
    many = [guests.start(ALICE + 300 + n, asks) for n in range(40)]
    try:
        for process in many:
            assert process.stdout
            assert process.stdout.readline()
        for _ in range(4):
            assert guests.ask(BOB, "me").get("told", {}).get("account") == "bob"
    finally:
        for process in many:
            process.kill()
            process.communicate()


def test_what_is_left_behind_is_replaced_and_what_ends_leaves_nothing(
    guests: ControlClients, daemon: RunningDaemon, run: Path
) -> None:
    daemon.process.kill()
    daemon.process.wait()
    assert (run / "control.sock").is_socket()
    daemon.process = daemon.start()
    wait_for(lambda: _answers(guests), what="the new one answers")
    assert (run / "control.sock").stat().st_mode & 0o777 == 0o666
    assert daemon.end() == 0
    assert [path.name for path in run.iterdir() if path.name.startswith("control")] == []


def _answers(guests: ControlClients) -> bool:
    program = "try: print(json.dumps(verb('ping')))\nexcept OSError: print('{}')"
    return "told" in json.loads(guests.play(ALICE, program))
