"""Work shared among forked processes: each part is done once, whichever fails; children end with their parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from paas_isolate.linux.process import fork as shares
from tests.support.waiting import wait_for

NUMBERS = list(range(1000))


def squares(numbers: Iterable[int]) -> tuple[int, list[int]]:
    return os.getpid(), [number**2 for number in numbers]


@pytest.mark.parametrize("items", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_parts_are_neighbours_and_miss_nothing(items: int, count: int) -> None:
    parts = shares.parts(NUMBERS[:items], count)
    assert len(parts) == count
    assert [number for part in parts for number in part] == NUMBERS[:items]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("items", "cores", "count"), [(0, 8, 1), (199, 8, 1), (200, 8, 2), (10_000, 8, 4), (900, 1, 1)]
)
def test_a_share_for_each_core_as_far_as_they_are_worth_it(
    monkeypatch: pytest.MonkeyPatch, items: int, cores: int, count: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert shares.worker_count(items, least=100) == count


def test_the_first_share_is_done_here_and_the_others_elsewhere() -> None:
    found = list(shares.map_forked(squares, shares.parts(NUMBERS, 4)))
    assert [square for _, done in found for square in done] == [number**2 for number in NUMBERS]
    assert found[0][0] == os.getpid()
    assert len({pid for pid, _ in found}) == 4
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)  # none is left behind


def test_an_answer_may_be_larger_than_a_pipe() -> None:
    found = list(
        shares.map_forked(lambda numbers: [f"{number}" * 1000 for number in numbers], shares.parts(NUMBERS, 3))
    )
    assert sum(map(len, found)) == 1000
    assert found[2][-1] == "999" * 1000


@pytest.mark.parametrize("accident", ["killed", "raises", "cannot be sent"])
def test_a_share_whose_child_fails_is_done_here(accident: str, capfd: pytest.CaptureFixture[str]) -> None:
    here = os.getpid()

    def work(numbers: Iterable[int]) -> object:
        done = list(numbers)
        if os.getpid() == here:
            return done
        if accident == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if accident == "raises":
            raise ValueError
        return object()

    assert list(shares.map_forked(work, shares.parts(NUMBERS, 3))) == shares.parts(NUMBERS, 3)
    assert capfd.readouterr() == ("", "")


def test_without_a_process_to_be_had_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", fork)
    before = os.listdir("/proc/self/fd")
    found = list(shares.map_forked(squares, shares.parts(NUMBERS, 4)))
    assert {pid for pid, _ in found} == {os.getpid()}
    assert os.listdir("/proc/self/fd") == before


def test_an_error_here_is_raised_and_ends_the_children() -> None:
    here = os.getpid()

    def work(numbers: Iterable[int]) -> None:
        if os.getpid() == here:
            raise KeyboardInterrupt
        time.sleep(1000)

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(shares.map_forked(work, shares.parts(NUMBERS, 3)))
    assert time.monotonic() - begin < 100
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def has_ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text()


def test_a_child_goes_no_further_than_its_parent(tmp_path: Path) -> None:
    program = f"""
        import os, time
        from paas_isolate.linux.process import fork as shares
        def work(numbers):
            for number in numbers:
                with open({str(tmp_path / "seen")!r}, "a") as seen:
                    print(os.getpid(), number, file=seen)
                time.sleep(0.05)
        list(shares.map_forked(work, shares.parts(range(10_000), 2)))
    """
    seen = tmp_path / "seen"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)]) as parent:
        wait_for(
            lambda: seen.exists() and len({line.split()[0] for line in seen.read_text().splitlines()}) == 2,
            what="both are at work",
        )
        parent.kill()
    (child,) = {int(line.split()[0]) for line in seen.read_text().splitlines()} - {parent.pid}
    wait_for(lambda: has_ended(child), what="the child has ended")
    assert len(seen.read_text().splitlines()) < 200


def test_children_are_waited_for_though_nobody_asked_for_that() -> None:
    """SIGCHLD that is ignored stays so over an exec(2): a panel's hook in Perl, say."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        found = list(shares.map_forked(squares, shares.parts(NUMBERS, 3)))
        assert [square for _, done in found for square in done] == [number**2 for number in NUMBERS]
        assert len({pid for pid, _ in found}) == 3
        assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_half_a_share_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pid namespace of its own a parent may have no number at all."""
    monkeypatch.setattr(os, "getppid", lambda: 0)
    found = list(shares.map_forked(squares, shares.parts(NUMBERS, 3)))
    assert [square for _, done in found for square in done] == [number**2 for number in NUMBERS]


def test_a_child_that_is_telling_ends_with_its_parent(tmp_path: Path) -> None:
    program = f"""
        import os, signal
        from paas_isolate.linux.process import fork as shares
        here = os.getpid()
        def work(numbers):
            list(numbers)
            if os.getpid() != here:
                open({str(tmp_path / "child")!r}, "w").write(str(os.getpid()))
                return "x" * 500_000
            signal.pause()
        list(shares.map_forked(work, shares.parts(range(100), 2)))
    """
    told = tmp_path / "child"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)]) as parent:
        wait_for(lambda: told.exists() and told.read_text(), what="the child has begun")
        time.sleep(0.2)  # until it writes, into a pipe of 64 kB
        parent.kill()
    child = int(told.read_text())
    wait_for(lambda: has_ended(child), what="the child has ended")
