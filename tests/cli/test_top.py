"""top: in a real terminal, as one picture, and as JSON. The accounts are plain files (tests/support/live_tree.py)."""

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from paas_isolate.live import machine, processes, rates
from paas_isolate.metering.rates import Rates
from paas_isolate.metering.reading import Levels
from tests.support.live_tree import MB, cgroup

SOURCE = Path(__file__).resolve().parents[2]
HOSTILE = "e\x1b]0;\x07[b]"
LIMITS = {"cpu.max": "200000 100000", "memory.max": str(512 * MB), "pids.max": "100"}
CODES = re.compile(r"\x1b(\[[0-9;?]*([A-Za-z]|$)|$)")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Thirty accounts, one of them busy (see `work`), one with a hostile name."""
    for number in range(28):
        cgroup(tmp_path / f"users/account{number:02}", cpu=1000, memory=100 + number, pids=number, limits=LIMITS)
    cgroup(tmp_path / "users/busy", cpu=1000, memory=384, pids=3, limits=LIMITS)
    cgroup(tmp_path / "users/busy/web", cpu=1000, memory=384, pids=3)
    (tmp_path / "users/busy/web/cgroup.procs").write_text(f"{os.getpid()}\n")
    cgroup(tmp_path / "users" / HOSTILE, cpu=1000, memory=1)
    return tmp_path


def work(place: Path, cpu: int) -> None:
    cgroup(place / "users/busy", cpu=cpu, memory=384, pids=3, limits=LIMITS)


def command(place: Path, words: str) -> list[str]:
    return [sys.executable, "-m", "tests.support.live_tree", str(place), "top", *words.split()]


class Window:
    """A terminal window in which a program runs."""

    def __init__(self, words: list[str], columns: int, lines: int) -> None:
        self.ours, theirs = os.openpty()
        self.size(columns, lines, tell=False)
        self.before = termios.tcgetattr(self.ours)
        surrounding = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"}
        for name in ("COLUMNS", "LINES", "NO_COLOR"):
            surrounding.pop(name, None)
        self.program = subprocess.Popen(
            [sys.executable, "-c", LEADER, *words],
            cwd=SOURCE,
            env=surrounding,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.text = ""

    def size(self, columns: int, lines: int, *, tell: bool = True) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.text = ""

    def press(self, keys: bytes) -> None:
        self.text = ""
        os.write(self.ours, keys)

    def shows(self, *words: str, seconds: float = 20.0) -> str:
        """The text since the last key, when it has all these words."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if select.select([self.ours], [], [], 0.1)[0]:
                with suppress(OSError):
                    self.text += os.read(self.ours, 65536).decode(errors="replace")
            shown = CODES.sub("", self.text)
            if all(word in shown for word in words):
                return shown
        raise AssertionError(f"{words} is not in {CODES.sub('', self.text)[-2500:]}")

    def ends(self, seconds: float = 20.0) -> int:
        until = time.monotonic() + seconds
        while self.program.poll() is None and time.monotonic() < until:
            if select.select([self.ours], [], [], 0.05)[0]:
                with suppress(OSError):
                    self.text += os.read(self.ours, 65536).decode(errors="replace")
        with suppress(OSError):  # EIO at the end of what it wrote last
            while select.select([self.ours], [], [], 0)[0]:
                self.text += os.read(self.ours, 65536).decode(errors="replace")
        return self.program.wait(1)

    def close(self) -> None:
        self.program.kill()
        self.program.wait()
        with suppress(OSError):
            os.close(self.ours)


LEADER = """import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""The window is the controlling terminal of the program: closing it and Ctrl-C send signals."""


@pytest.fixture
def window(place: Path) -> Iterator[Window]:
    made = Window(command(place, "--every 0.3"), 80, 24)
    yield made
    made.close()


def given_back(window: Window) -> bool:
    """Whether the terminal has its modes, its cursor and its own screen again."""
    last = {name: window.text.rfind(f"\x1b[?{name}") for name in ("25h", "25l", "1049h", "1049l")}
    return (
        termios.tcgetattr(window.ours) == window.before and last["25h"] > last["25l"] and last["1049l"] > last["1049h"]
    )


def last_screen(shown: str) -> list[str]:
    """Its lines but the last, which a part of the next screen may follow."""
    title = "paas-isolate top"
    return (title + shown.rpartition(title)[2]).splitlines()[:-1]


def test_keys_sort_enter_and_quit(window: Window, place: Path) -> None:
    window.shows("30 accounts", "by cpu", "account00")
    assert not termios.tcgetattr(window.ours)[3] & (termios.ECHO | termios.ICANON)
    work(place, 500_000)
    window.press(b"n")
    window.shows("by name", "account17")
    window.press(b"r")
    shown = window.shows("reversed", "e\\x1b]0;\\x07[b]", "busy")
    assert "\x07" not in window.text.replace("\\x07", "")
    assert "account00" not in "".join(last_screen(shown))
    window.press(b"m")
    window.shows("by memory", "busy", "75%")
    window.press(b"\r")
    window.shows("account busy", "web", "1 process", str(os.getpid()), "Esc")
    window.press(b"\x1b")
    window.shows("by memory", "account27")
    window.press(b"\x1b[B\x1b[B\r")
    window.shows("account account26", "0 processes")
    window.press(b"q")
    assert window.ends() == 0
    assert given_back(window)


def test_a_window_of_another_size(window: Window) -> None:
    assert "OWN" not in window.shows("30 accounts", "q quit")
    window.size(160, 50)
    window.shows("OWN", "W.IO", "account27")
    window.size(80, 10)
    window.shows("q quit")
    window.size(30, 3)  # useless, but it goes on
    time.sleep(0.5)
    window.size(80, 24)
    window.shows("account10", "q quit")
    window.press(b"q")
    assert window.ends() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(number: signal.Signals, window: Window) -> None:
    window.shows("30 accounts")
    window.program.send_signal(number)
    assert window.ends() == -number
    assert given_back(window)


def test_ctrl_c_gives_the_terminal_back(window: Window) -> None:
    window.shows("30 accounts")
    os.write(window.ours, b"\x03")
    assert window.ends() == 130
    assert given_back(window)


def test_it_ends_when_the_window_is_closed(window: Window) -> None:
    window.shows("30 accounts")
    os.close(window.ours)
    assert window.program.wait(20) != 0


def printed(place: Path, words: str, **surrounding: str) -> str:
    done = subprocess.run(
        command(place, f"{words} --every 0.1"),
        cwd=SOURCE,
        env={**os.environ, **surrounding},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("words", ["", "--once"])
def test_one_picture_where_there_is_no_terminal(words: str, place: Path) -> None:
    shown = printed(place, f"{words} --sort memory --limit 3", COLUMNS="80", PYTHONUTF8="1")
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines[4:]] == ["busy", "account27", "account26"]
    assert all(len(line) <= 80 for line in lines)
    assert "\x1b" not in shown
    assert "\N{FULL BLOCK}" in shown


def test_a_terminal_without_block_characters_has_plain_ones(place: Path) -> None:
    shown = printed(place, "--once", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert shown.isascii()
    assert "|:" in shown


def test_json(place: Path) -> None:
    data = json.loads(printed(place, "--json --sort memory --limit 2"))
    assert [*data] == ["time", "seconds", "machine", "accounts", "active", "rows", "processes"]
    assert [row["account"] for row in data["rows"]] == ["busy", "account27"]
    row = data["rows"][0]
    assert (row["cpu_limit"], row["memory"], row["own_memory"], row["memory_limit"]) == (
        2.0,
        384 * MB,
        288 * MB,
        512 * MB,
    )
    assert row["memory_of_limit"] == 0.75
    assert row["cpu_cores"] == 0.0
    assert row["read_per_second"] is None
    assert data["processes"] == []


def test_json_of_one_account(place: Path) -> None:
    data = json.loads(printed(place, "busy --json"))
    assert [row["leaf"] for row in data["rows"]] == ["", "web"]
    leaf = data["rows"][1]
    assert leaf["memory_limit"] is leaf["memory_of_limit"] is leaf["cpu_of_limit"] is None
    (process,) = data["processes"]
    assert (process["pid"], process["leaf"]) == (os.getpid(), "web")
    assert "python" in process["command"]


def test_of_an_account_without_a_cgroup(place: Path) -> None:
    done = subprocess.run(command(place, "nobody"), cwd=SOURCE, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "no account is called 'nobody'" in done.stderr


def test_json_keys_are_those_of_the_manual() -> None:
    page = (SOURCE / "man/paas-isolate.8").read_text().partition(".Sh JSON OUTPUT")[2]
    told = re.findall(
        r"^\.It Li (\S+) Ta ", re.split(r"^\.S[sh] ", page.partition(".Ss top\n")[2], flags=re.M)[0], re.M
    )
    row = rates.plain(rates.Row("a", "a", Rates(), Levels()))
    process = processes.plain(processes.ProcessRow(1, "", "", None, 0, 1, 0.0, ""))
    use = machine.plain(machine.MachineUse(1, None, 0, 0, None, None, None))
    assert told == ["time", "seconds", "machine", "accounts", "active", "rows", "processes", *use, *row, *process]
