"""Services on this kernel: started, supervised and stopped, by the command alone."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.process import procfs
from paas_isolate.linux.system import control_socket
from paas_isolate.linux.system.lock import held
from tests.support.kernel.service_host import ALICE, ServiceHost, opened
from tests.support.kernel.unanswered import stuck
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel


@pytest.fixture
def work(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree, keeper: Path) -> Iterator[ServiceHost]:
    with opened(ServiceHost, tmp_path_factory, cgroups, keeper) as work:
        yield work


@pytest.mark.hostile
def test_an_accounts_file_gives_no_service_precedence_over_others(work: ServiceHost) -> None:
    """chrt -f 99 had 97 % of a core at cpu: 10%: SCHED_FIFO knows no cpu.max."""
    run = "grep -E 'realtime|open files' /proc/self/limits; chrt -f 99 true && echo first; echo end; exec sleep 1000"
    work.services(f'fast: {{run: "{run}", rlimits: {{rtprio: 99, nofile: 4096}}}}')
    said = work.reconcile(code=4)
    assert (
        "accounts.d/alice.yaml:3:" in said
        and "services.fast.rlimits.rtprio is 99; expected at most 0, or `allow" in said
    )
    wait_for(lambda: "end" in work.log("fast"), what="the service has said what it may")
    words = work.log("fast").split()
    assert words[words.index("priority") + 1 :][:2] == ["0", "0"] and "4096" in words and "first" not in words
    if subprocess.run(["prlimit", "--rtprio=99:99", "true"], capture_output=True).returncode != 0:
        return  # root of a machine without CAP_SYS_RESOURCE may raise no limit either
    config = work.host.etc / "config.yaml"
    config.write_text(config.read_text() + "allow: [publish, users, rlimits]\n")

    def priority(code: int) -> str:
        """Of the last start; a run asks it to end, and the next one begins it anew."""
        work.reconcile(code=code)
        return " ".join(work.log("fast").split()).rpartition("priority ")[2]

    wait_for(lambda: priority(0).startswith("99 99"), what="it is begun anew with what it may now")
    config.write_text(config.read_text().replace(", rlimits", ""))
    wait_for(lambda: priority(4).startswith("0 0"), what="and anew without: no last good copy keeps it")


def test_a_service_is_started_in_its_leaf_as_its_owner_and_restarted(work: ServiceHost) -> None:
    work.services("worker: {run: 'echo hello $QUEUE; exec sleep 1000', environment: {QUEUE: mail}}")
    assert "start alice/worker" in work.reconcile()
    (pid,) = work.pids("worker")
    found = procfs.identity(pid)
    assert found is not None
    assert set(found.uids) == {ALICE}
    wait_for(lambda: work.log("worker") == "hello mail\n", what="its output is in its log")
    assert work.state()["worker"]["state"] == "running"
    assert "nothing to do" in work.reconcile()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not work.pids("worker"), what="it has ended")
    assert work.state()["worker"]["state"] == "restarting"
    wait_for(lambda: "start alice/worker" in work.reconcile(), what="worker is started again")
    assert work.pids("worker") not in (set(), {pid})
    assert "ended with signal 9" in work.log("worker")


def test_a_changed_command_restarts_it_once_and_no_other(work: ServiceHost) -> None:
    text = "worker: {run: exec sleep 1000}\nother-one: {run: exec sleep 1001}\n"
    work.services(text)
    work.reconcile()
    before, others = work.pids("worker"), work.pids("other-one")
    work.services(text.replace("sleep 1000", "sleep 1002"))
    told = work.reconcile()
    assert "stop alice/worker: what it is begun with has changed" in told
    assert "start alice/worker" in told
    assert work.pids("worker").isdisjoint(before)
    assert work.pids("other-one") == others
    work.services(text.replace("sleep 1000", "sleep 1002").replace("1001}", "1001, restart: never, stop_timeout: 3s}"))
    assert "nothing to do" in work.reconcile()


def test_what_does_not_end_is_killed_and_nothing_survives(work: ServiceHost) -> None:
    run = "trap : TERM; (trap : TERM; while :; do sleep 1; done) & while :; do sleep 1; done"
    work.services(f"worker: {{run: '{run}', stop_timeout: 1s}}")
    work.reconcile()
    wait_for(lambda: len(work.pids("worker")) >= 3, what="both loops run")
    begin = time.monotonic()
    told = work("stop", "alice/worker")
    assert "kill alice/worker" in told
    assert 0.9 < time.monotonic() - begin < 20
    assert work.pids("worker") == set()
    assert work.state()["worker"]["state"] == "stopped"
    assert "nothing to do" in work.reconcile()
    assert "start alice/worker" in work("start", "alice/worker")
    assert work.pids("worker")


def test_a_crash_loop_is_given_up_and_reported(work: ServiceHost) -> None:
    work.services("worker: {run: exit 7}")
    told = ""
    for _ in range(40):
        told += work.reconcile()
        if "give alice/worker up" in told:
            break
        time.sleep(0.5)  # the next start is due later each time
    assert "give alice/worker up: 5 starts in 120 s, the last ended with exit status 7" in told
    assert told.count("start alice/worker") == 5
    assert "given up until" in work.log("worker")
    state = work.state()["worker"]
    assert state["state"] == "failed"
    assert "paas-isolate start alice/worker tries again" in work("status", "alice")
    assert "nothing to do" in work.reconcile()
    assert "start alice/worker" in work("start", "alice/worker", code=0)
    work.services("worker: {run: exec sleep 1000}")
    assert "start alice/worker" in work.reconcile()
    assert work.pids("worker")


def test_a_program_that_ends_again_during_a_pass_waits_for_the_next_pass(work: ServiceHost) -> None:
    deaf = 'run: "trap : TERM; while :; do sleep 1; done", stop_timeout: 3s'
    work.services(f"deaf: {{{deaf}}}\nshort: {{run: exec sleep 1000}}\n")
    work.reconcile()
    wait_for(lambda: len(work.pids("deaf")) == 2, what="it is deaf")
    work.services(f"deaf: {{{deaf}}}\nshort: {{run: exit 7}}\n")
    told = work("restart", "alice/deaf", code=1)
    assert "failed" not in told
    assert "its program has ended again" in told


def test_the_key_restart_decides_what_an_end_means(work: ServiceHost) -> None:
    work.services("well: {run: 'true', restart: on-failure}\nill: {run: exit 3, restart: never}\n")
    work.reconcile()
    wait_for(lambda: not work.pids("well") and not work.pids("ill"), what="both have ended")
    time.sleep(1.2)  # long enough for what must not come
    assert "nothing to do" in work.reconcile()
    state = work.state()
    assert (state["well"]["state"], state["well"]["detail"]) == ("ended", "exit status 0")
    assert (state["ill"]["state"], state["ill"]["detail"]) == ("failed", "exit status 3")


def test_a_leaf_is_emptied_before_a_new_start(work: ServiceHost) -> None:
    work.services("worker: {run: 'sleep 1000 & exit 0'}")
    work.reconcile()
    wait_for(lambda: "sleep" in {procfs.name(pid) for pid in work.pids("worker")}, what="what it leaves behind runs")
    (left,) = work.pids("worker")
    time.sleep(1.2)  # a second after the last start the next is due
    told = work.reconcile()
    assert "stop alice/worker: its program went to the background; keep it in the foreground" in told
    assert "start alice/worker" in told
    assert "went to the background" in work.log("worker")
    assert (found := procfs.identity(left)) is None or not found.alive


@pytest.mark.hostile
def test_what_outlives_its_program_escapes_no_crash_protection(work: ServiceHost) -> None:
    """What is left is ended for our own sake: that is no order, after which it would be counted anew."""
    work.services("worker: {run: 'sleep 1000 & exit 0'}")
    told = ""
    for _ in range(80):
        told += work.reconcile("--quiet")
        if "give alice/worker up" in told:
            break
        time.sleep(0.5)  # the next start is due later each time
    assert told.count("start alice/worker") == 5
    assert "exit status 0: it went to the background; keep it in the foreground" in told
    assert work.state()["worker"]["state"] == "failed"


def test_a_program_in_the_background_that_is_not_restarted_is_reported(work: ServiceHost) -> None:
    work.services("worker: {run: 'sleep 1000 & exit 0', restart: on-failure}")
    work.reconcile()
    wait_for(lambda: work.state()["worker"]["state"] == "ended", what="it has ended")
    assert work.state()["worker"]["detail"] == "exit status 0: it went to the background; keep it in the foreground"


def test_what_it_needs_is_waited_for_and_never_counts(work: ServiceHost) -> None:
    work.services("worker: {run: exec sleep 1000, directory: ~/app}")
    work.reconcile()
    for _ in range(6):
        wait_for(lambda: work.state()["worker"]["state"] == "waiting", what="it says what it waits for")
        assert work.state()["worker"]["detail"] == "~/app is not there; it is tried each minute"
        assert "nothing to do" in work.reconcile()
        work("start", "alice/worker")
    assert "~/app is not there" in work("status", "alice")
    (work.home / "app").mkdir()
    (work.home / "app").chmod(0o755)
    work("start", "alice/worker")
    assert work.pids("worker")
    wait_for(lambda: work.state()["worker"]["state"] == "running", what="it runs")


@pytest.mark.hostile
def test_starts_that_never_begin_are_given_up_however_slowly(work: ServiceHost) -> None:
    """As where the account has no process left: each start is more than a minute after the last."""
    work.services("worker: {run: exec sleep 1000}")
    work.reconcile()
    record = work.host.place / "run/services/alice.worker"
    told = ""
    for _ in range(5):
        work.host.cgroups.kill("users/alice/worker")
        wait_for(lambda: not work.members("worker"), what="its leaf is empty")
        head = json.loads(record.read_text().partition("\n")[0])
        begun = time.time() - 300
        record.write_text(json.dumps({**head, "begun": [begun]}) + f"\nfailed the leaf is full {begun:.3f}\n")
        told = work.reconcile(code=None)
    assert "give alice/worker up: 5 starts in a row did not begin" in told


def test_orders_for_what_is_frozen_say_that_they_wait(work: ServiceHost) -> None:
    work.services("worker: {run: exec sleep 1000}")
    work.reconcile()
    work("freeze", "alice")
    assert "alice is frozen: the order takes effect after paas-isolate thaw alice" in work("restart", "alice/worker")
    assert "alice is frozen: the order takes effect after paas-isolate thaw alice" in work("stop", "alice/worker")
    work("start", "alice/worker")
    work("thaw", "alice")


def test_a_program_without_a_record_gets_sigterm_then_sigkill(work: ServiceHost) -> None:
    """A record that is lost, a process that somebody has put there."""
    work.services("worker: {run: 'trap : TERM; while :; do sleep 1; done', stop_timeout: 1s}")
    work.reconcile()
    wait_for(lambda: work.pids("worker"), what="it runs")
    before = work.pids("worker")
    (work.host.place / "run/services/alice.worker").unlink()
    told = work.reconcile()
    assert "stop alice/worker: what is left in its leaf ends before it begins" in told
    assert "kill alice/worker" in told
    assert "start alice/worker" in told
    assert work.pids("worker").isdisjoint(before)


def test_a_stop_ends_what_a_program_has_left_behind(work: ServiceHost) -> None:
    work.services("worker: {run: 'sleep 1000 & exit 0', restart: never}")
    work.reconcile()
    wait_for(lambda: {procfs.name(pid) for pid in work.members("worker")} == {"sleep"}, what="it has ended")
    assert "stop alice/worker: stopped by hand" in work("stop", "alice/worker")
    assert work.members("worker") == set()
    assert "nothing to do" in work.reconcile()


def test_replicas_have_a_number_and_a_port_each_and_are_scaled(work: ServiceHost) -> None:
    run = "echo $INDEX $PORT; exec sleep 1000"
    work.services(f"web: {{run: '{run}', replicas: 2, listen: 8100}}")
    work.reconcile()
    wait_for(lambda: work.log("web") == "1 8100\n" and work.log("web.2") == "2 8101\n", what="both have spoken")
    first = work.pids("web")
    work("scale", "alice/web", "3")
    wait_for(lambda: work.log("web.3") == "3 8102\n", what="the third has spoken")
    assert work.pids("web") == first
    work("scale", "alice/web", "1")
    assert (work.pids("web"), work.pids("web.2"), work.pids("web.3")) == (first, set(), set())
    assert sorted(work.state()) == ["web"]
    work("scale", "alice/web", "default")
    assert work.pids("web.2")


def test_a_service_that_is_taken_out_is_stopped_and_its_leaf_goes(work: ServiceHost) -> None:
    work.services("worker: {run: exec sleep 1000}\nkeep: {run: exec sleep 1000}\n")
    work.reconcile()
    work.services("keep: {run: exec sleep 1000}")
    assert "stop alice/worker: it is not wanted any more" in work.reconcile()
    assert not Path(work.host.cgroups.root, "users/alice/worker").exists()
    assert work.pids("keep")
    (work.host.etc / "accounts.d/alice.yaml").unlink()
    work.reconcile()
    assert not Path(work.host.cgroups.root, "users/alice").exists()
    assert list((work.host.place / "run/services").iterdir()) == []


def test_a_suspended_account_is_frozen_or_stopped_as_the_host_says(work: ServiceHost) -> None:
    text = "worker: {run: exec sleep 1000}"
    work.services(text)
    work.reconcile()
    before = work.pids("worker")
    work.services(text, "suspended: true\n")
    work.reconcile()
    assert work.state()["worker"]["state"] == "frozen"
    work.services(text)
    work.reconcile()
    assert work.pids("worker") == before
    config = work.host.etc / "config.yaml"
    config.write_text(config.read_text() + "suspension: stop\n")
    work.services(text, "suspended: true\n")
    work.reconcile()
    assert work.pids("worker") == set()
    assert work.state()["worker"]["state"] == "suspended"
    work.services(text)
    work.reconcile()
    assert work.pids("worker")


def test_nothing_starts_when_the_machine_goes_down(work: ServiceHost) -> None:
    work.services("worker: {run: exec sleep 1000}")
    work.reconcile()
    assert "ended" in work("kill", "--all", "--down")
    time.sleep(1.2)  # long enough for what must not come
    assert "nothing to do" in work.reconcile()
    assert work.pids("worker") == set()


def test_an_end_is_never_seen_without_its_status(work: ServiceHost) -> None:
    """A keeper that is held up has not noted it yet: until then the service counts as running."""
    work.services("worker: {run: 'read line <go; exit 0', restart: on-failure}")
    os.mkfifo(work.home / "go")
    work.reconcile()
    (program,) = work.pids("worker")
    (keeper,) = work.members("worker") - {program}
    os.kill(keeper, signal.SIGSTOP)
    (work.home / "go").write_text("now\n")
    wait_for(lambda: not work.pids("worker"), what="it has ended")
    assert work.state()["worker"]["state"] == "running"
    assert "nothing to do" in work.reconcile()
    os.kill(keeper, signal.SIGCONT)
    wait_for(lambda: work.state()["worker"]["state"] == "ended", what="it is told")
    assert work.state()["worker"]["detail"] == "exit status 0"
    assert "nothing to do" in work.reconcile()


def test_rules_do_not_move_what_was_begun(work: ServiceHost) -> None:
    work.services("worker: {run: exec sleep 1000}\nsleepers: {match: {program: sleep}}\n")
    work.reconcile()
    assert "nothing to do" in work.reconcile()
    assert work.pids("worker")


def test_a_wrong_file_leaves_it_alone(work: ServiceHost) -> None:
    work.services("worker: {run: exec sleep 1000}")
    work.reconcile()
    before = work.pids("worker")
    (work.host.etc / "accounts.d/alice.yaml").write_text("account: alice\nservices: {worker: {run: 5, direktory: x}}\n")
    work.reconcile(code=4)
    assert work.pids("worker") == before


def test_health_that_fails_restarts_it(work: ServiceHost) -> None:
    health = "health: {run: test -e well, every: 200ms, failures: 3}"
    (work.home / "well").touch()
    work.services(f"worker: {{run: exec sleep 1000, {health}}}")
    work.reconcile()
    before = work.pids("worker")
    time.sleep(1)  # some health checks, all of which pass
    assert "nothing to do" in work.reconcile()
    (work.home / "well").unlink()
    wait_for(lambda: "3 health checks in a row have failed" in work.log("worker"), what="it is unwell")
    told = work.reconcile()
    assert "stop alice/worker: its health checks fail" in told
    assert work.pids("worker").isdisjoint(before)


def test_a_job_runs_when_due_and_its_failure_is_reported(work: ServiceHost) -> None:
    hook = "echo $RESULT of $SERVICE >$HOME/told"
    work.services(f"nightly: {{run: 'date; exit 4', schedule: '* * * * *', on_failure: {{run: '{hook}'}}}}")
    assert "await the time of alice/nightly" in work.reconcile()
    assert work.state()["nightly"]["state"] == "waiting"
    assert "start alice/nightly" in work("start", "alice/nightly")
    wait_for(lambda: (work.home / "told").exists() and not work.members("nightly"), what="the hook has ended")
    assert (work.home / "told").read_text() == "exit status 4 of alice/nightly\n"
    state = work.state()["nightly"]
    assert state["state"] == "failed"
    assert "ended with exit status 4 (never well), next at" in str(state["detail"])


def test_the_daemon_starts_again_what_has_ended_and_survives_its_own_end(work: ServiceHost, tmp_path: Path) -> None:
    work.services(
        "worker: {run: exec sleep 1000}\nslow: {run: 'trap : TERM; while :; do sleep 1; done', stop_timeout: 1s}\n"
    )
    log = tmp_path / "log"
    with work.daemon(log) as daemon:
        wait_for(lambda: work.pids("worker") and work.pids("slow"), what="both run")
        before = work.pids("worker")
        (pid,) = before
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: work.pids("worker") - before, what="it has been started again")
        now, slow = work.pids("worker"), work.pids("slow")
        work.services("worker: {run: exec sleep 1000}\nslow: {run: exec sleep 1003, stop_timeout: 1s}\n")
        wait_for(lambda: work.pids("slow").isdisjoint(slow) and work.pids("slow"), what="the new one runs")
        assert "kill alice/slow" in log.read_text()
        assert work.pids("worker") == now
        daemon.kill()
        daemon.wait()
    assert work.pids("worker") == now
    with work.daemon(log):
        assert "stop alice/worker" in work("stop", "alice/worker")
        time.sleep(1.5)  # long enough for what must not come
        assert work.pids("worker") == set()
        assert "start alice/worker" in work("start", "alice/worker")
    assert work.pids("worker")


def test_the_daemon_reports_a_program_that_does_not_die_once(work: ServiceHost, tmp_path: Path) -> None:
    text = "worker: {run: exec sleep 1000, stop_timeout: 1s}"
    record = work.host.place / "run/services/alice.worker"

    def kills() -> int:
        found = re.findall(r"^killed \S+ (\d+)$", record.read_text(), re.M)
        return int(found[0]) if found else 0

    log = tmp_path / "log"
    work.services(text)
    with work.daemon(log):
        wait_for(lambda: work.pids("worker"), what="it runs")
        with stuck(tmp_path) as pid:
            Path(work.host.cgroups.root, "users/alice/worker/cgroup.procs").write_text(str(pid))
            work.services(text.replace("1000", "1001"))
            wait_for(lambda: kills() == 1, what="it is killed")
            begin = time.monotonic()
            wait_for(lambda: kills() == 3, what="it is killed twice more")
            assert time.monotonic() - begin > 2.5, "after one second, and after two"
            assert work.members("worker") == {pid}
        wait_for(lambda: work.pids("worker"), what="the new one runs when it has ended")
    assert log.read_text().count("kill alice/worker") == 1


def test_an_order_does_not_wait_and_writes_only_what_it_changes(work: ServiceHost, tmp_path: Path) -> None:
    work.services("worker: {run: exec sleep 1000}")
    run, decided = str(work.host.place / "run"), work.host.place / "state/decisions.json"

    def order(verb: str) -> control_socket.Answer:
        time.sleep(1)  # one a second
        answer = control_socket.ask(run, verb, {"service": "worker"}, about="alice", seconds=30)
        assert answer
        return answer

    with work.daemon(tmp_path / "log"):
        wait_for(lambda: work.pids("worker"), what="it runs")
        wait_for(lambda: order("restart").told, what="the daemon has an ear for it")
        assert not decided.exists()
        assert order("stop").told["said"] == ["stop alice/worker: stopped by hand"]
        before = decided.stat()
        assert order("stop").told["said"] == ["nothing to do"]
        assert decided.stat() == before
        with held(f"{run}/lock", wait=20):
            assert order("start").status == 75
        wait_for(lambda: order("start").told, what="nobody else is at work")
        wait_for(lambda: work.pids("worker"), what="it runs again")


def wipe(directory: Path) -> bool:
    """The daemon may make something there meanwhile."""
    try:
        shutil.rmtree(directory)
    except OSError:
        return False
    return True


def test_the_daemon_listens_again_when_its_directory_was_removed(work: ServiceHost, tmp_path: Path) -> None:
    work.services("worker: {run: exec sleep 1000, stop_timeout: 1s}")
    run = work.host.place / "run"
    with work.daemon(tmp_path / "log"):
        wait_for(lambda: work.pids("worker") and control_socket.ask(str(run), "ping", seconds=5), what="it runs")
        for wiped in (run, run / "services"):
            before = work.pids("worker")
            wait_for(lambda: wipe(wiped), what="it is empty")  # noqa: B023
            wait_for(lambda: work.pids("worker") - before, what="what has no record begins anew")  # noqa: B023
            wait_for(lambda: control_socket.ask(str(run), "ping", seconds=5), what="the daemon can be asked")
            before = work.pids("worker")
            (pid,) = before
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: work.pids("worker") - before, what="it is heard that it has ended")  # noqa: B023
        (run / control_socket.NAME).unlink()
        (run / "services").rename(run / "elsewhere")
        wait_for(lambda: control_socket.ask(str(run), "ping", seconds=5), what="the daemon can be asked")
    assert not (run / control_socket.NAME).exists()


def test_the_daemon_reports_once_that_it_gives_up(work: ServiceHost, tmp_path: Path) -> None:
    work.services("worker: {run: exit 7}")
    log = tmp_path / "log"
    with work.daemon(log):
        wait_for(lambda: "give alice/worker up" in log.read_text(), what="it is given up", deadline=40)
        time.sleep(2)  # long enough for what must not come
    assert log.read_text().count("start alice/worker") == 5
    assert log.read_text().count("give alice/worker up") == 1


def test_replicas_are_restarted_one_at_a_time(work: ServiceHost, tmp_path: Path) -> None:
    serve = "python3 -m http.server --bind 127.0.0.1 $PORT"
    work.services(f"web: {{run: {serve}, replicas: 3, listen: 18100}}")
    work.reconcile()
    leaves = ("web", "web.2", "web.3")
    wait_for(lambda: all(state["state"] == "running" for state in work.state().values()), what="all listen")
    before = {leaf: work.pids(leaf) for leaf in leaves}
    fewest = 3
    with subprocess.Popen(work.command("restart", "alice/web"), stdout=subprocess.PIPE) as restart:
        while restart.poll() is None:
            fewest = min(fewest, sum(bool(work.pids(leaf)) for leaf in leaves))
            time.sleep(0.01)
    assert restart.returncode == 0
    assert all(work.pids(leaf) and work.pids(leaf).isdisjoint(before[leaf]) for leaf in leaves)
    assert fewest == 2


def test_replicas_are_replaced_one_after_the_other(work: ServiceHost) -> None:
    text = "web: {run: exec sleep 1000, replicas: 3}"
    work.services(text)
    work.reconcile()
    work.services(text.replace("1000", "1001"))
    told = re.findall(r"(?:stop|start) alice/web[.0-9]*", work("restart", "alice/web"))
    assert told == [f"{verb} alice/{leaf}" for leaf in ("web", "web.2", "web.3") for verb in ("stop", "start")]
