"""Jobs on a machine with cron, mail (Exim as Debian has it) and a memory limit."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.support.guest.machine import STATE, daemon, is_alive, knob, pids_in
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customer, Specs
from tests.support.guest.services import in_journal
from tests.support.waiting import wait_for

YEARLY = "0 0 1 1 *"
LEAF = "users/alice/nightly"
MEMORY = "python3 -ISc 'print(1, flush=True); a = bytearray(b\"x\") * (400 << 20)'"


class JobScene:
    """`nightly` is a job of alice's; it runs when it is ordered."""

    def __init__(self, spec: Specs, paas: Paas, alice: Customer) -> None:
        self.spec, self.paas, self.alice = spec, paas, alice

    def sell(self, **body: Any) -> None:
        job = {"schedule": YEARLY, "limits": {"memory": "64M", "pids": 30}, **body}
        self.spec.sell("alice", limits={"pids": 60}, services={"nightly": job})

    def runs(self, **body: Any) -> None:
        """Once, and to its end; what it tells others, it has told."""
        self.sell(**body)
        self.paas("reconcile")
        self.paas("start", "alice/nightly", code=None)
        self.over()

    def over(self) -> None:
        wait_for(lambda: not pids_in(LEAF), what="it has ended, with all that it has begun", deadline=90)
        self.paas("reconcile", code=None)

    def state(self) -> dict[str, Any]:
        told = self.paas("status", "--json", "alice", code=None).json["cgroups"]
        (found,) = (entry["service"] for entry in told if entry["name"] == "nightly")
        return dict(found)

    def log(self) -> str:
        return (self.alice.home / "logs/nightly.log").read_text()


@pytest.fixture
def jobs(spec: Specs, paas: Paas, sell: Callable[..., Customer]) -> Iterator[JobScene]:
    shutil.rmtree("/run/paas-isolate/services", ignore_errors=True)  # of a test before
    yield JobScene(spec, paas, sell("alice"))


@pytest.fixture
def box(jobs: JobScene) -> Iterator[Path]:
    """Where Exim puts alice's mail."""
    path = Path("/var/mail/alice")
    path.unlink(missing_ok=True)
    yield path
    subprocess.run(["exim4", "-bp"], check=True)  # what it holds back stands in the test's output
    path.unlink(missing_ok=True)


def mail_in(box: Path) -> EmailMessage:
    wait_for(lambda: box.exists() and box.stat().st_size, what="the mail has come", deadline=60)
    found = message_from_bytes(box.read_bytes().partition(b"\n")[2], policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def test_a_mail_comes_with_what_was_said_last(jobs: JobScene, box: Path) -> None:
    jobs.runs(run="echo Grüße; echo no space left; exit 3", on_failure={"mail": "alice@vm"})
    mail = mail_in(box)
    assert mail["Subject"] == "alice/nightly: exit status 3"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert str(mail["From"]).partition("@")[0] == "alice", mail["From"]
    said = mail.get_content()
    assert said.startswith("alice/nightly ended with exit status 3.\n\nGrüße\nno space left\n"), said
    assert "the mail" not in jobs.log(), jobs.log()
    assert jobs.state()["last"]["status"] == 3


def test_a_mail_that_cannot_be_sent_is_told_in_the_log(jobs: JobScene, box: Path) -> None:
    """Exim is set-uid root, which no_new_privs forbids."""
    jobs.runs(run="exit 3", no_new_privs=True, on_failure={"mail": "alice@vm"})
    assert "paas-isolate: the mail about it ended with exit status " in jobs.log(), jobs.log()
    assert not box.exists()
    assert any("the mail about it" in record["MESSAGE"] for record in in_journal("alice", "nightly"))


def test_nobody_is_told_of_what_ends_well(jobs: JobScene, box: Path) -> None:
    jobs.runs(run="echo well", on_failure={"mail": "alice@vm", "run": "touch told"})
    assert not box.exists()
    assert not (jobs.alice.home / "told").exists()
    last = jobs.state()["last"]
    assert (last["status"], last["succeeded"]) == (0, last["ended"])


TELL = """
id -u; id -G; pwd; umask; echo "$RESULT of $SERVICE"; echo "$ACCOUNT $COLOUR $HOME $MEMORY_MAX"
cat /proc/self/cgroup; grep -E '^(NoNewPrivs|CapEff):' /proc/self/status; ls /proc/self/fd | wc -l
"""


def test_a_hook_is_the_customers_and_inside(jobs: JobScene) -> None:
    (jobs.alice.home / "hook").write_text(TELL)
    jobs.runs(run="exit 4", umask="027", environment={"COLOUR": "green"}, on_failure={"run": "sh ./hook >told 2>&1"})
    uid, gid, home = jobs.alice.uid, jobs.alice.gid, jobs.alice.home
    uids, gids, where, mask, result, environment, cgroup, *status, fds = (home / "told").read_text().splitlines()
    assert (uids, gids, where, mask) == (str(uid), str(gid), str(home), "0027")
    assert result == "exit status 4 of alice/nightly"
    assert environment == f"alice green {home} {64 << 20}"
    assert cgroup.endswith(f"/{LEAF}")
    assert [line.split()[1] for line in status] == ["0000000000000000", "0"]
    assert int(fds) == 4, "the three, and that of the listing"


def test_a_hook_that_fails_is_told_in_the_log_and_the_journal(jobs: JobScene) -> None:
    jobs.runs(run="exit 4", on_failure={"run": "echo nobody answers >&2; exit 9"})
    assert jobs.log().splitlines()[-2:] == [
        "nobody answers",
        "paas-isolate: on_failure.run ended with exit status 9",
    ]
    said = [record["MESSAGE"] for record in in_journal("alice", "nightly")]
    assert "paas-isolate: on_failure.run ended with exit status 9" in said


def test_a_hook_that_hangs_holds_nobody_up(jobs: JobScene) -> None:
    """It has a minute; meanwhile whoever looks is not kept waiting, and what is due is done."""
    jobs.sell(run="exit 4", on_failure={"run": "trap '' TERM; echo $$ >hangs; while :; do sleep 1; done"})
    hangs = jobs.alice.home / "hangs"
    with daemon(accounts=1):
        jobs.paas("start", "alice/nightly")
        wait_for(hangs.exists, what="it hangs", deadline=30)
        pid = wait_for(lambda: hangs.read_text().strip(), what="its pid")
        wait_for(lambda: jobs.state()["last"], what="the result is known meanwhile")
        assert jobs.state()["last"]["status"] == 4
        jobs.spec("accounts.d/alice.yaml", json.dumps({"account": "alice", "limits": {"pids": 59}}))
        wait_for(lambda: knob("users/alice", "pids.max") == "59", what="the daemon goes on", deadline=10)
        wait_for(lambda: not is_alive(int(pid)), what="it is ended with its service", deadline=90)


@pytest.mark.long
def test_a_hook_that_hangs_is_ended_after_a_minute(jobs: JobScene) -> None:
    jobs.runs(run="exit 4", on_failure={"run": "trap '' TERM; while :; do sleep 1; done"})
    assert "paas-isolate: on_failure.run was ended after 60 s" in jobs.log()


def test_want_of_memory_is_remembered_and_told(jobs: JobScene, box: Path) -> None:
    """The kernel ends all of the leaf (memory.oom.group), the keeper too."""
    failure = {"mail": "alice@vm", "run": "echo $RESULT >told"}
    jobs.runs(run=MEMORY, on_failure=failure)
    jobs.over()
    last = jobs.state()["last"]
    assert (last["status"], last["signal"], last["out_of_memory"]) == (None, None, True)
    assert (jobs.alice.home / "told").read_text() == "killed: out of memory\n"
    assert mail_in(box)["Subject"] == "alice/nightly: killed: out of memory"
    assert json.loads((STATE / "results/alice.nightly").read_text()) == last
    assert jobs.paas("reconcile").out == "nothing to do\n"


def test_the_daemon_runs_a_job_in_its_minute_and_remembers_how_it_ended(jobs: JobScene) -> None:
    jobs.sell(run="date +%s >>times; exit 5", schedule="* * * * *")
    times = jobs.alice.home / "times"
    with daemon(accounts=1):
        wait_for(times.exists, what="it has run", deadline=90)
        kept = STATE / "results/alice.nightly"
        wait_for(kept.exists, what="its result is kept")
        assert json.loads(kept.read_text())["status"] == 5
        wait_for(lambda: len(times.read_text().split()) == 2, what="it has run again", deadline=90)
    first, second = map(int, times.read_text().split())
    assert second // 60 == first // 60 + 1
    assert first % 60 < 15
