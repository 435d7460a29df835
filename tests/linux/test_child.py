"""Work in a child process: its result comes back, and nothing else of it does."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from paas_isolate.errors import HostError
from paas_isolate.linux.process.child import run_forked

HERE = os.getpid()


def nobody_is_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def test_what_a_child_changes_of_its_process_ends_with_it() -> None:
    def work() -> tuple[int, str]:
        os.chdir("/")
        return os.getpid(), os.getcwd()

    before = os.getcwd()
    pid, there = run_forked(work, what="a test")
    assert pid != HERE
    assert (there, os.getcwd()) == ("/", before)
    assert nobody_is_left()


@pytest.mark.parametrize("result", [None, "", 0, {"a": (1, b"x" * 500_000)}, [None, ()]])
def test_any_plain_result_comes_back(result: object) -> None:
    assert run_forked(lambda: result, what="a test", patience=60) == result


def raises(error: Exception) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(1, "Operation not permitted", "/srv/x"), "/srv/x: Operation not permitted"),
        (OSError(5, "Input/output error"), "views: Input/output error"),
    ],
)
def test_an_error_of_the_system_is_raised_here(error: OSError, text: str) -> None:
    with pytest.raises(OSError) as found:
        run_forked(raises(error), what="views")
    assert (found.value.errno, found.value.strerror) == (error.errno, text)
    assert nobody_is_left()


@pytest.mark.parametrize("error", [ValueError("wrong number"), HostError("no such mount")])
def test_any_other_error_is_raised_with_its_words(error: Exception) -> None:
    with pytest.raises(RuntimeError, match=str(error)):
        run_forked(raises(error), what="views")


def test_what_is_not_plain_data_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="unmarshallable"):
        run_forked(object, what="views")


def test_a_child_that_is_killed_has_not_answered() -> None:
    with pytest.raises(OSError, match="views: the child process ended without an answer"):
        run_forked(lambda: os.kill(os.getpid(), signal.SIGKILL if os.getpid() != HERE else 0), what="views")
    assert nobody_is_left()


def test_half_an_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = "paas_isolate.linux.process.child._answer"
    monkeypatch.setattr(ends, lambda work, what, to: os.write(to, (9).to_bytes(8) + b"x"))
    with pytest.raises(OSError, match="without an answer"):
        run_forked(lambda: None, what="views")


def test_a_child_that_takes_too_long_is_ended() -> None:
    begin = time.monotonic()
    with pytest.raises(TimeoutError, match="views: no answer within 0 s"):
        run_forked(lambda: time.sleep(1000), what="views", patience=0.05)
    assert time.monotonic() - begin < 100
    assert nobody_is_left()


def test_without_a_process_to_be_had_nothing_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(BlockingIOError):
        run_forked(lambda: pytest.fail("done here"), what="views")
    assert os.listdir("/proc/self/fd") == before


def test_an_answer_comes_though_children_are_forgotten() -> None:
    """SIGCHLD that is ignored stays so over an exec(2): a panel's hook in Perl, say."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run_forked(lambda: 7, what="a test") == 7
    finally:
        signal.signal(signal.SIGCHLD, before)
