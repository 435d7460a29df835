"""Which faults get a picture, what is in it, and which files tell of them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from paas_isolate.daemon.faults import FaultSource, PictureLimits, RecentProcesses
from paas_isolate.daemon.metering import MeterSource
from paas_isolate.linux.events import fault_events
from paas_isolate.linux.events.fault_events import FaultEventSource
from paas_isolate.linux.process import pictures
from paas_isolate.linux.process.pictures import PictureChild, Subject
from paas_isolate.metering.detection import Events
from paas_isolate.metering.faults import ENDED, KILLED, Fault, Kind, Level, Picture, Process, Taken
from tests.support.fake_cgroups import FakeCgroups


def fault(seconds: float, kind: Kind = Kind.KILLED, directory: str = "alice") -> Fault:
    return Fault(kind, Level.LEAF, directory, "web", "", int(seconds * 1000), 0)


def test_one_picture_a_minute_of_an_incident_and_ten_in_all() -> None:
    limits = PictureLimits()
    taken = [second for second in range(0, 1800, 10) if limits.wanted([fault(second)])]
    assert taken == list(range(0, 600, 60))
    assert limits.wanted([fault(1790 + 300)]) == {}
    assert limits.wanted([fault(1790 + 300 + 301)])  # another incident


def test_two_pictures_a_minute_of_an_account() -> None:
    limits = PictureLimits()
    kinds = (Kind.WAITED, Kind.REFUSED, Kind.THROTTLED)
    taken = [kind for number, kind in enumerate(kinds) if limits.wanted([fault(number, kind)])]
    assert taken == [Kind.WAITED, Kind.REFUSED]
    assert limits.wanted([fault(5, Kind.THROTTLED, "bob")])


def test_lesser_faults_do_not_take_the_picture_of_a_kill() -> None:
    limits = PictureLimits()
    kinds = (Kind.REFUSED, Kind.THROTTLED, Kind.SLOWED, Kind.KILLED)
    taken = [kind for number, kind in enumerate(kinds) if limits.wanted([fault(number, kind)])]
    assert taken == [Kind.REFUSED, Kind.THROTTLED, Kind.KILLED]
    killed = [fault(10 + number)._replace(leaf=f"web{number}") for number in range(5)]
    assert len([each for each in killed if limits.wanted([each])]) == 1
    assert limits.wanted([fault(65, Kind.THROTTLED)])


def test_faults_of_one_moment_share_a_picture_and_a_full_disk_has_none() -> None:
    both = [fault(0), fault(0, Kind.SLOWED), fault(0, Kind.DISK), fault(0, directory="bob")]
    assert PictureLimits().wanted(both) == {"alice": both[:2], "bob": both[3:]}


@pytest.fixture
def cgroups(tmp_path: Path) -> FakeCgroups:
    made = FakeCgroups(tmp_path / "users")
    for path in ("", "alice", "bob"):
        made.write(path, "memory.events", "")
    return made


def test_who_hit_a_limit_is_told_once_until_the_next_sample(cgroups: FakeCgroups) -> None:
    users = str(cgroups.users)
    with closing(FaultEventSource()) as source:
        source.watch(users, {"alice", "gone"}, 50)
        cgroups.write("alice", "memory.events", "oom_kill 1")
        cgroups.write("bob", "memory.events", "oom_kill 1")
        assert source.hit() == {"alice", "bob"}  # bob is not active, but there is room
        cgroups.write("alice", "memory.events", "oom_kill 2")
        assert source.hit() == set()
        assert source.watch(users, {"bob"}, 50) == {"alice", "bob"}  # the second kill is found now
        cgroups.write("alice", "memory.events", "oom_kill 3")
        cgroups.write("bob", "pids.events", "max 1")
        cgroups.write("", "pids.events", "max 1")
        assert source.hit() == {"alice", "bob", ""}


def test_those_that_were_active_last_are_watched(cgroups: FakeCgroups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_events, "ACCOUNTS", 1)
    with closing(FaultEventSource()) as source:
        source.watch(str(cgroups.users), {"alice"}, 50)
        source.watch(str(cgroups.users), {"bob"}, 50)
        for name in ("alice", "bob"):
            cgroups.events(name, Events(refused=1))
        assert source.hit() == {"bob"}


@pytest.fixture
def member(cgroups: FakeCgroups) -> Iterator[subprocess.Popen[str]]:
    """A process of alice/web, as its cgroup says."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "--password=secret"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    cgroups.write("alice/web", "cgroup.procs", f"{process.pid}\n")
    cgroups.write("alice", "memory.current", "5\n")
    yield process
    process.kill()
    process.communicate()


def subject(cgroups: FakeCgroups, directory: str = "alice", *, command_lines: bool = True) -> Subject:
    return Subject(str(cgroups.users), directory, {os.getuid(): "alice"}, command_lines)


def take(asked: Subject, before: list[Process] | None = None, seconds: float = 5) -> Picture:
    child = PictureChild(asked, before or [])
    until = time.monotonic() + seconds
    while child.read() and time.monotonic() < until:
        pass
    picture = child.end()
    assert picture is not None
    return picture


@pytest.mark.parametrize("directory", ["alice", ""])
def test_a_picture(cgroups: FakeCgroups, member: subprocess.Popen[str], directory: str) -> None:
    (process,) = take(subject(cgroups, directory)).processes
    assert (process.pid, process.account, process.leaf, process.user) == (member.pid, "alice", "web", "alice")
    assert process.command.endswith("--password=secret")
    assert process.memory and process.memory > 1 << 20
    assert process.state in ("sleeping", "running")
    assert process.cpu is not None and process.age is not None and 0 <= process.age < 60


def test_a_picture_without_command_lines(cgroups: FakeCgroups, member: subprocess.Popen[str]) -> None:
    (process,) = take(subject(cgroups, command_lines=False)).processes
    assert "secret" not in process.command
    assert process.command.startswith("python")


def test_a_picture_has_who_was_there_before(cgroups: FakeCgroups, member: subprocess.Popen[str]) -> None:
    ended = Process(4_000_000, "php", "alice", "web")
    still = Process(member.pid, "python", "alice", "web")
    assert take(subject(cgroups), [ended, still]).before == (ended,)


def test_a_picture_that_does_not_come_is_none(cgroups: FakeCgroups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_take", lambda *_: time.sleep(60))
    child = PictureChild(subject(cgroups), [])
    assert child.end() is None


def test_command_lines_that_do_not_come_leave_names(
    cgroups: FakeCgroups, member: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Blocked:
        def read(self, asked: object) -> None:
            time.sleep(60)

    monkeypatch.setattr(pictures, "CommandReader", Blocked)
    child = PictureChild(subject(cgroups), [])
    while child._text.count(b"\n") < 2:
        assert child.read()
    picture = child.end()
    assert picture is not None
    assert picture.processes[0].command.startswith("python")


def test_a_picture_without_psutil_that_does_not_come(
    cgroups: FakeCgroups, member: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files may have to be read from a disk that has much to do."""
    monkeypatch.setattr(pictures, "_described", lambda *_: time.sleep(60))
    child = PictureChild(subject(cgroups), [])
    assert child.read()
    picture = child.end()
    assert picture is not None
    (process,) = picture.processes
    assert (process.pid, process.leaf) == (member.pid, "web")
    assert process.memory and process.state in ("sleeping", "running")


class Meter:
    """What FaultSource needs of one."""

    def __init__(self, asked: Subject) -> None:
        self.asked, self.kept = asked, list[Taken]()
        self.sampled: Callable[..., None] = lambda *_: None
        self.listeners: list[Callable[[list[Fault]], None]] = []

    def subject(self, directory: str, kind: Kind) -> Subject:
        return self.asked

    def keep(self, taken: list[Taken]) -> None:
        self.kept += taken


@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_picture_that_does_not_come_or_lacks_who_was_killed_is_taken_again_once(
    cgroups: FakeCgroups, member: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: int
) -> None:
    take, tries = pictures._take, tmp_path / "tries"

    def takes(*words: Any) -> None:
        with tries.open("a+") as file:
            file.write(".")
            number = file.tell()
        if number <= late:
            time.sleep(60)
        take(*words)

    monkeypatch.setattr(pictures, "_take", takes)
    monkeypatch.setattr("paas_isolate.daemon.faults.PATIENCE", 2.0)
    meter = Meter(subject(cgroups, command_lines=False))
    with closing(FaultSource(cast(MeterSource, meter))) as source:
        (listener,) = meter.listeners
        listener([fault(0)])
        until = time.monotonic() + 20
        while source._child is not None and time.monotonic() < until:
            list(source.read())
            time.sleep(0.01)
    assert len(meter.kept) == (late < 2)
    assert tries.read_text() == ".."


def test_the_daemon_itself_does_not_import_psutil(cgroups: FakeCgroups, member: subprocess.Popen[str]) -> None:
    program = (
        "import sys, time; from paas_isolate.daemon import faults; from paas_isolate.linux.process.pictures import *\n"
        f"child = PictureChild(Subject({str(cgroups.users)!r}, 'alice', {{}}, True), [])\n"
        "while child.read(): pass\n"
        "assert child.end().processes; assert 'psutil' not in sys.modules and 'sqlite3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_recent_processes(cgroups: FakeCgroups, member: subprocess.Popen[str]) -> None:
    recent = RecentProcesses()
    recent.glance(str(cgroups.users), ["alice", "bob"])
    name = Path(f"/proc/{member.pid}/comm").read_text().strip()
    (process,) = recent.of("alice")
    assert (process.pid, process.command, process.leaf) == (member.pid, name, "web")
    assert process.state in ("sleeping", "running")
    assert process.memory and process.age is not None and process.age < 60
    assert process.burnt == process.cpu
    assert recent.of("bob") == []
    (cgroups.users / "alice/web/cgroup.procs").write_text("")
    recent.glance(str(cgroups.users), ["alice"])
    assert recent.of("alice") == [process._replace(state=ENDED)]


def test_what_a_process_burnt_since_it_was_seen_first(cgroups: FakeCgroups, member: subprocess.Popen[str]) -> None:
    seen = Process(member.pid, "python", "alice", "web", cpu=-100.0, age=900.0, burnt=7.0)
    (process,) = take(subject(cgroups), [seen]).processes
    assert process.cpu is not None and process.burnt == pytest.approx(process.cpu + 107.0)


LOG = [
    "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/paas.slice/users/alice,"
    "task_memcg=/paas.slice/users/alice/web,task=php-fpm: pool a,pid=1234,uid=2001",
    "Memory cgroup out of memory: Killed process 1234 (php-fpm: pool a) total-vm:538072kB, anon-rss:522240kB, "
    "file-rss:1024kB, shmem-rss:0kB, UID:2001 pgtables:1092kB oom_score_adj:0",
    "Memory cgroup out of memory: Killed process 1235 (x) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, "
    "UID:2001 pgtables:92kB oom_score_adj:0",
    "Out of memory: Killed process 99 (mysqld) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:110 "
    "pgtables:92kB oom_score_adj:0",
    "eth0: link up",
]
"""Lines of Linux 6.12."""


def test_victims_by_the_kernels_log() -> None:
    asked = Subject("/sys/fs/cgroup/paas.slice/users", "alice", {2001: "ann"}, True)
    first, second = pictures.victims(LOG, asked)
    assert first == Process(1234, "php-fpm: pool a", "alice", "web", "ann", 523264 << 10, None, KILLED)
    assert (second.pid, second.leaf) == (1235, "")
    assert list(pictures.victims(LOG, asked._replace(directory="bob", names={2002: "ben"}))) == []


def test_a_killed_process_is_in_the_picture_as_it_was_before(
    cgroups: FakeCgroups, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = [line.replace("/paas.slice/users", str(cgroups.users)) for line in LOG]
    monkeypatch.setattr(pictures, "_log", lambda since: iter(log))
    asked = subject(cgroups)._replace(names={2001: "ann"})
    seen = Process(1234, "php-fpm", "alice", "web", "", 5, 1.5, "running", 9.0)
    before = take(asked, [seen]).before
    assert before[0] == seen._replace(state=KILLED, memory=523264 << 10)
    assert [process.pid for process in before] == [1234, 1235]
