"""Runs of reconcile: two at once, killed, with nothing to do, with a wrong file, after a manual change, by cron."""

import random
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas_isolate import apply, observe
from tests.support.guest.machine import TREE, accounts, cgroup_of, is_alive, knob, write_knob
from tests.support.guest.paas import Paas
from tests.support.guest.people import Customers, Sell, Specs, hears
from tests.support.waiting import wait_for

LOCK = "/run/paas-isolate/lock"


def everything() -> dict[str, str]:
    """Every cgroup below users/, and all of its knobs that can be set."""
    found = {"users": ""}
    for path in sorted(TREE.glob("users/**/*")):
        name = str(path.relative_to(TREE))
        if path.is_dir():
            found[name] = ""
        elif path.name in SETTABLE:
            found[name] = path.read_text()
    return found


SETTABLE = {
    *("cpu.max", "cpu.max.burst", "cpu.weight", "cpuset.cpus", "io.max", "io.weight", "pids.max"),
    *("memory.high", "memory.low", "memory.max", "memory.min", "memory.oom.group", "memory.swap.max"),
    *("cgroup.freeze", "cgroup.subtree_control"),
}


@contextmanager
def another_run() -> Iterator[None]:
    """Somebody else is at work."""
    # In a process of its own: a run that is forked from here would hold the lock along with us.
    words = ["flock", "--no-fork", LOCK, "sh", "-c", "echo held; exec sleep 1000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as holder:
        try:
            hears(holder, "held")
            yield
        finally:
            holder.kill()


def test_two_runs_at_once_one_works_and_the_other_leaves_at_once_when_told_so(sell: Sell, paas: Paas) -> None:
    for name in ("alice", "bob", "carol", "dave"):
        sell(name, limits={"memory": "64M", "cpu": "20%", "pids": 40})

    runs = [paas.start("reconcile", "--wait", "0") for _ in range(2)]
    answers = sorted((run.answer() for run in runs), key=lambda answer: answer.code)

    assert [answer.code for answer in answers] == [0, 75]
    assert "another run" in answers[1].err
    assert answers[1].out == ""
    assert accounts() == {"alice", "bob", "carol", "dave"}


def test_a_run_beside_another_is_silent_under_cron_and_waits_when_told_so(sell: Sell, paas: Paas) -> None:
    sell("alice")
    with another_run():
        begin = time.monotonic()
        answer = paas("reconcile", "--cron", code=75)
        assert time.monotonic() - begin < 5
        assert (answer.out, answer.err) == ("", "")
        waiting = paas.start("reconcile", "--wait", "30")
        time.sleep(1)  # long enough for what must not come
        assert not waiting.has_ended()
        assert accounts() == set()
    assert waiting.answer().code == 0
    assert accounts() == {"alice"}


class Worlds:
    """Two states of the specifications, each with what the kernel has once a run has ended well."""

    def __init__(self, spec: Specs, paas: Paas) -> None:
        self._spec, self._paas = spec, paas
        spec.config()
        self.alice = spec.sell("alice")
        self.memory = self.alice.holds(4)
        self.expected = {}
        for _ in range(2):  # until neither remembers what was before it
            for world in (self.one, self.other):
                world()
                paas("reconcile")
                self.expected[world] = everything()
        assert self.expected[self.one] != self.expected[self.other]

    def one(self) -> None:
        limits = {"memory": {"max": "64M", "high": "60M"}, "cpu": {"max": "50%", "burst": "20%"}, "pids": 80}
        services = {"web": {"match": {"program": "python*"}, "limits": limits}, "worker": {"limits": {"io": "1M"}}}
        self._spec.sell("alice", limits=limits, services=services)
        self._spec.sell("bob", limits={"memory": "32M"})
        (self._spec.path("carol")).unlink(missing_ok=True)

    def other(self) -> None:
        limits = {"memory": "32M", "cpu": "20%", "pids": 40}
        self._spec.sell("alice", limits=limits, services={"queue": {"match": {"program": "python*"}, "limits": limits}})
        self._spec.sell("carol", limits={"io": "2M"})
        (self._spec.path("bob")).unlink(missing_ok=True)


def kill_at_random_moments(spec: Specs, paas: Paas, number: int) -> None:
    worlds = Worlds(spec, paas)
    worlds.one()
    begin = time.monotonic()
    paas("reconcile")
    usual = time.monotonic() - begin
    killed = 0
    for turn in range(number):
        world = (worlds.other, worlds.one)[turn % 2]
        world()
        moment = random.uniform(0, usual)
        run = paas.start("reconcile")
        time.sleep(moment)  # any moment
        run.kill()
        killed += run.answer().code == -9

        paas("reconcile", "--wait", "10")  # what a child of it still holds, it holds until its next step

        assert everything() == worlds.expected[world], f"killed after {moment:.3f} s"
        assert is_alive(worlds.memory.pid)
        leaf = {worlds.one: "users/alice/web", worlds.other: "users/alice/queue"}[world]
        assert cgroup_of(worlds.memory.pid) == leaf
    assert killed > number / 3, "hardly a run was still at work when it was to be killed"


def test_killed_at_random_moments_the_next_run_makes_the_same_tree(spec: Specs, paas: Paas) -> None:
    kill_at_random_moments(spec, paas, 8)


def test_killed_while_the_work_is_shared_the_next_run_makes_the_same_tree(
    spec: Specs, paas: Paas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "WORTH_A_PROCESS", 4)
    monkeypatch.setattr(observe, "WORTH_A_PROCESS", 1)
    kill_at_random_moments(spec, paas, 8)


@pytest.mark.long
def test_killed_at_two_thousand_random_moments(spec: Specs, paas: Paas) -> None:
    kill_at_random_moments(spec, paas, 2000)


WRITING = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg", "sendfile", "splice"),
    *(
        "mkdir",
        "mkdirat",
        "rmdir",
        "unlink",
        "unlinkat",
        "rename",
        "renameat",
        "renameat2",
        "creat",
        "mknod",
        "mknodat",
    ),
    *("link", "linkat", "symlink", "symlinkat", "truncate", "ftruncate", "fallocate", "utime", "utimes", "utimensat"),
    *("chmod", "fchmod", "fchmodat", "?fchmodat2", "chown", "fchown", "lchown", "fchownat", "setxattr", "fsetxattr"),
    *("kill", "tkill", "tgkill", "pidfd_send_signal", "mount", "umount2", "fsync", "fdatasync"),
)


def test_a_run_that_changes_nothing_makes_no_system_call_that_writes(sell: Sell, paas: Paas, tmp_path: Path) -> None:
    sell("alice", limits={"memory": "64M", "io": "1M"}, services={"web": {"match": {"program": "sleep"}}}).sleeps()
    sell("bob", limits={"cpu": "20%"}).sleeps()
    assert paas.installed("reconcile").code == 0

    log = tmp_path / "strace"
    words = ("strace", "-f", "--seccomp-bpf", "-y", "-o", str(log), "-e", f"trace=openat,open,{','.join(WRITING)}")
    answer = paas.installed("reconcile", "--cron", under=words)

    assert (answer.code, answer.out, answer.err) == (0, "", "")
    calls = [line for line in log.read_text().splitlines() if "(" in line]
    opened = [line for line in calls if " open" in line]
    assert any("users/alice/memory.max" in line for line in opened)  # or it did not look at all
    assert [line for line in calls if " open" not in line] == []
    writing = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
    # The lock may have to be made; that it is opened is how a run is alone.
    assert [line for line in opened if writing.search(line) and LOCK not in line] == []


WRONG = "account: alice\nlimits:\n  memory: 5 12M\n"
COMPLAINT = "accounts.d/alice.yaml:3:11: limits.memory is '5 12M'; expected a size such as 512M"


def test_one_wrong_file_keeps_its_last_good_limits_and_the_others_converge(sell: Sell, spec: Specs, paas: Paas) -> None:
    pid = sell("alice", limits={"memory": "64M", "pids": 40}).sleeps()
    sell("bob", limits={"pids": 40})
    paas("reconcile")

    spec("accounts.d/alice.yaml", WRONG)
    sell("bob", limits={"pids": 50})
    sell("carol", limits={"pids": 60})
    answer = paas("reconcile", code=4)

    assert COMPLAINT in answer.err
    assert "alice: keeps its last good limits" in answer.err
    assert (knob("users/alice", "memory.max"), knob("users/alice", "pids.max")) == ("67108864", "40")
    assert (knob("users/bob", "pids.max"), knob("users/carol", "pids.max")) == ("50", "60")
    assert cgroup_of(pid) == "users/alice/other"
    assert COMPLAINT in paas("check", code=2).err

    # They are kept by the product, and not only because nobody touched them.
    write_knob("users/alice", "memory.max", "max")
    paas("reconcile", code=4)
    assert knob("users/alice", "memory.max") == "67108864"
    assert re.search(r"^alice +kept ", paas("status").out, re.M)

    sell("alice", limits={"memory": "32M"})
    paas("reconcile")
    assert knob("users/alice", "memory.max") == "33554432"


def test_a_wrong_config_leaves_the_machine_as_it_was(sell: Sell, spec: Specs, paas: Paas) -> None:
    spec.config(users={"first_uid": 1000}, penalty={"pids": 33})
    sell("alice", limits={"pids": 40})
    paas("reconcile")

    spec("config.yaml", "penalty: {pids: many}\n")
    sell("alice", limits={"pids": 50})
    answer = paas("reconcile", code=4)

    assert "config.yaml:1:17: penalty.pids is 'many'; expected a whole number such as 200" in answer.err
    assert knob("penalty", "pids.max") == "33"
    assert knob("users/alice", "pids.max") == "50"


def test_a_user_who_cannot_be_found_any_more_keeps_uid_and_limits(sell: Sell, customer: Customers, paas: Paas) -> None:
    guest = sell("visitor", limits={"pids": 40})
    paas("reconcile")
    customer.forget(guest)
    pid = guest.sleeps()

    answer = paas("reconcile", code=4)

    assert "visitor" in answer.err
    assert knob("users/visitor", "pids.max") == "40"
    assert cgroup_of(pid) == "users/visitor/other"


def test_what_was_changed_by_hand_is_repaired(sell: Sell, paas: Paas) -> None:
    services = {"web": {"match": {"program": "sleep"}, "limits": {"memory": "32M"}}}
    limits = {"memory": "64M", "cpu": "20%", "pids": 40, "io": "1M"}
    alice = sell("alice", limits=limits, services=services)
    pid = alice.sleeps()
    reader = alice.runs("read line").pid
    paas("reconcile")
    assert cgroup_of(pid) == "users/alice/web"
    before = everything()

    loosened = {"memory.max": "max", "cpu.max": "max", "pids.max": "max", "io.max": "254:0 rbps=max wbps=max"}
    for name, text in loosened.items():
        write_knob("users/alice", name, text)
        write_knob("users/alice/web", name, text)
    write_knob("users", "memory.max", "max")
    write_knob("users/alice/other", "cgroup.freeze", "1")
    (TREE / "users/alice/login").rmdir()
    (TREE / "users/alice/mine").mkdir()
    (TREE / "users/alice/other/deeper").mkdir()
    write_knob("users/alice/other/deeper", "cgroup.procs", str(reader))
    (TREE / "../../cgroup.procs").write_text(str(pid))
    assert cgroup_of(pid) == "/"
    assert everything() != before

    paas("reconcile")

    assert everything() == before
    assert cgroup_of(pid) == "users/alice/web"
    assert cgroup_of(reader) == "users/alice/other"
    assert knob("users", "memory.max") != "max"
    assert paas("diff", "--exit-code").out == "nothing differs\n"


def test_cron_hears_the_same_complaint_once_a_day(sell: Sell, spec: Specs, paas: Paas) -> None:
    def cron() -> tuple[int, str, str]:
        answer = paas("reconcile", "--cron", code=None)
        return answer.code, answer.out, answer.err

    sell("alice")
    assert cron() == (0, "", "")  # changes that succeed are no news
    spec("accounts.d/alice.yaml", WRONG)

    code, out, err = cron()
    assert (code, out) == (4, "")
    assert COMPLAINT in err
    assert cron() == (4, "", "")
    with tomorrow():
        assert COMPLAINT in cron()[2]
        assert cron() == (4, "", "")

    spec("accounts.d/alice.yaml", WRONG.replace("5 12M", "6 12M"))
    assert "'6 12M'" in cron()[2]  # another complaint is told at once

    sell("alice")
    assert cron() == (0, "", "")
    spec("accounts.d/alice.yaml", WRONG)
    assert COMPLAINT in cron()[2]  # and one that comes again, too


@contextmanager
def tomorrow() -> Iterator[None]:
    """This machine's clock, a day ahead for a while."""
    begin = time.monotonic()
    today = time.time()
    time.clock_settime(time.CLOCK_REALTIME, today + 86400)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, today + time.monotonic() - begin)


def shortly_before_a_minute(seconds: int) -> None:
    """The clock goes on to so many seconds before the next full minute but one: what is due then comes soon."""
    now = time.time()
    time.clock_settime(time.CLOCK_REALTIME, now - now % 60 + 120 - seconds)


def test_the_timer_reconciles_every_minute(sell: Sell, running: Callable[[str], None]) -> None:
    running("paas-isolate.timer")
    alice = sell("alice")
    for _ in range(2):
        pid = alice.sleeps()
        shortly_before_a_minute(2)
        wait_for(lambda: cgroup_of(pid) == "users/alice/other", what="the timer has brought it in", deadline=75)  # noqa: B023


def test_cron_reconciles_every_minute(sell: Sell, cron_line: None, running: Callable[[str], None]) -> None:
    pid = sell("alice").sleeps()
    shortly_before_a_minute(5)
    running("cron.service")  # which sleeps until the next minute of the clock that it has seen
    wait_for(lambda: cgroup_of(pid) == "users/alice/other", what="cron has brought it in", deadline=75)
