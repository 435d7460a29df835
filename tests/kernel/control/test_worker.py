"""Questions that the worker process answers: the loop never waits for them, and no client takes it from others."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.process import procfs
from paas_isolate.linux.system import control_socket
from tests.support.kernel.control import ALICE, BOB, DENIED, ControlClients
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.kernel.running_daemon import RunningDaemon, frozen
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel
FLOOD = """
import json
def ask_all(number, verb):
    s = connect()
    s.sendall(b'{"keep":true}\\n')
    for n in range(number):
        s.sendall(json.dumps({"verb": verb, "id": n}).encode() + b"\\n")
    return s
"""


def ask(run: Path, verb: str, about: str = "", **options: str) -> control_socket.Answer:
    answer = control_socket.ask(str(run), verb, options, about=about, seconds=60)
    assert answer is not None
    return answer


def asked_by(guests: ControlClients, uid: int, verb: str, about: str = "", **options: str) -> dict[str, Any]:
    line = json.dumps({"verb": verb, "about": about, "options": options}).encode() + b"\n"
    said: dict[str, Any] = json.loads(guests.play(uid, f"print(json.dumps(ask({line!r})))"))
    return said


def worker_of(daemon: RunningDaemon) -> int:
    """Its pid; 0 where there is none."""
    for line in Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split():
        if b"paas_isolate.cli.worker" in Path(f"/proc/{line}/cmdline").read_bytes():
            return int(line)
    return 0


def test_an_answer_comes_from_a_process_of_its_own(daemon: RunningDaemon, run: Path) -> None:
    assert not worker_of(daemon)
    told = ask(run, "differences").told
    assert told["changes"] == []
    first = worker_of(daemon)
    assert first
    ask(run, "differences")
    assert worker_of(daemon) == first
    wait_for(lambda: not Path(f"/proc/{first}/task/{first}/children").read_text(), what="its children are gone")


def test_a_customer_learns_nothing_of_an_error(daemon: RunningDaemon, guests: ControlClients, run: Path) -> None:
    assert asked_by(guests, ALICE, "usage") == {"error": "that cannot be had now", "status": 1}
    assert "ledger" in ask(run, "usage", "alice").error
    assert asked_by(guests, BOB, "doctor") == DENIED


def test_a_worker_that_dies_is_started_anew(daemon: RunningDaemon, run: Path) -> None:
    ask(run, "differences")
    os.kill(worker_of(daemon), signal.SIGKILL)
    daemon.says("the process that answers questions has died; questions are refused for 1 s")
    assert ask(run, "differences").status == 75
    wait_for(lambda: ask(run, "differences").told, what="it answers again")


def test_the_worker_ends_with_the_daemon(daemon: RunningDaemon, run: Path) -> None:
    ask(run, "differences")
    worker = worker_of(daemon)
    daemon.process.kill()
    wait_for(lambda: (found := procfs.identity(worker)) is None or not found.alive, what="it has ended")


def test_500_questions_hold_up_no_file(
    daemon: RunningDaemon, guests: ControlClients, host: TestHost, run: Path
) -> None:
    ask(run, "differences")
    quiet = [saved(host, n) for n in range(6)]
    program = "them = [ask_all(8, 'differences') for _ in range(63)]; print(1, flush=True); sys.stdin.read()"
    flood = guests.start(0, FLOOD + program)
    try:
        assert flood.stdout is not None
        flood.stdout.readline()
        busy = [saved(host, n) for n in range(6)]
    finally:
        flood.kill()  # a client that goes away
        flood.wait()
    assert sorted(busy)[3] < 0.5, f"saved file to kernel: {quiet} without, {busy} with 500 questions"
    wait_for(lambda: ask(run, "differences").told, what="it answers when they have gone")


def saved(host: TestHost, number: int) -> float:
    """Seconds from a saved file to the kernel."""
    suspended = number % 2 == 0
    begun = time.monotonic()
    host.account("bob", f"suspended: {str(suspended).lower()}\n{NO_LIMIT}\n")
    wait_for(lambda: frozen(host, "users/bob") == suspended, what="the kernel has it")
    return time.monotonic() - begun
