"""paas-enter on root's terminal: the command has a terminal of its own and cannot harm root's."""

import os
import signal
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.kernel import burden
from tests.support.kernel.enter_host import CUSTOMER, EnterHost
from tests.support.kernel.pam_session import QUIET
from tests.support.kernel.terminals import WINDOW, Terminal
from tests.support.waiting import wait_for

pytestmark = pytest.mark.kernel

HUNG_UP = 129


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the customer may write."""
    with tempfile.TemporaryDirectory() as made:
        os.chown(made, CUSTOMER, CUSTOMER)
        yield Path(made)


def line(machine: EnterHost, *command: str) -> list[str]:
    return [str(machine.launcher), "--doors", str(machine.doors), "nobody/web", "--", *command]


def on_terminal(machine: EnterHost, *command: str, given: dict[int, int] | None = None) -> Terminal:
    return Terminal(line(machine, *command), {**QUIET, "TERM": "dumb"}, given=given)


def shell(machine: EnterHost, script: str, **how: Any) -> Terminal:
    return on_terminal(machine, "sh", "-c", script, **how)


@pytest.mark.hostile
def test_the_terminal_is_another_one_and_the_customers(machine: EnterHost) -> None:
    with on_terminal(machine, *burden.PYTHON) as terminal:
        assert terminal.status() == 0
        found = burden.found_in(terminal.said)
        names = set(found["terminals"].values()) - {"/dev/tty"}
        assert found["terminals"].keys() == {"/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "/dev/tty"}
        assert len(names) == 1
        assert terminal.name not in names
        leader, group, pid, _ = found["session"]
        assert leader == group == pid
        assert found["window"] == [WINDOW[1], WINDOW[0]]
        assert found["uids"] == [CUSTOMER] * 3
        assert machine.cgroups.path_of(found["cgroup"]) == "users/nobody/web"
        assert terminal.settings() == terminal.before


@pytest.mark.hostile
def test_nothing_can_be_put_into_roots_shell(machine: EnterHost, place: Path) -> None:
    """TIOCSTI: what is put in is read by root's shell when the command has ended."""
    marker = place / "owned"
    environment = {**QUIET, "PS1": "ready> ", "TERM": "dumb", "HISTFILE": ""}
    with Terminal(["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"], environment) as root:
        root.until("ready> ")
        script = place / "thief.py"
        script.write_text(burden.THIEF)
        injection = f"id -u > {marker}"
        attack = line(machine, "/usr/bin/python3", "-IS", str(script), "inject", injection)
        root.type(" ".join(f"'{word}'" for word in attack) + "\n")
        wait_for(lambda: root.read().count("ready> ") > 1, what="root's shell is there again")
        root.type("echo still $((1 + 1)) here\n")
        root.until("still 2 here")
        time.sleep(0.3)  # long enough for what must not come
        assert not marker.exists(), marker.read_text()


@pytest.mark.hostile
def test_roots_terminal_cannot_be_spoilt(machine: EnterHost) -> None:
    with on_terminal(machine, *burden.PYTHON, "spoil") as terminal:
        assert terminal.status() == 0
        assert terminal.settings() == terminal.before


@pytest.mark.hostile
def test_what_roots_terminal_answers_to_last_words_is_no_input(machine: EnterHost) -> None:
    """ESC [21t asks a terminal for its title: the answer is input for whatever reads next."""
    script = '"$@"; read -t 1 left; echo "left<$left>"'
    command = ["/bin/bash", "--norc", "-c", script, "-", *line(machine, "sh", "-c", "printf 'asked\\033[21t'; sleep 1")]
    with Terminal(command, {**QUIET, "TERM": "dumb"}) as root:
        root.until("asked\x1b[21t")
        root.type("\x1b]levil\x1b\\\n")
        assert root.status() == 0
        assert "evil" not in root.said.partition("left<")[2]


def test_keys_and_output_pass_as_they_are(machine: EnterHost) -> None:
    with shell(
        machine, "stty -echo raw; echo ready; head -c 5 | od -An -tx1; stty sane; printf '\\033[1m\\377end\\n'"
    ) as terminal:
        terminal.until("ready")
        os.write(terminal.master, b"a\x03\x04\x1a\xff")
        said = terminal.until("end")
        assert "61 03 04 1a ff" in said
        assert "\x1b[1m" in said
        assert terminal.status() == 0


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", -9), ("kill -TERM $$", -15)])
def test_it_ends_as_the_command_does(machine: EnterHost, script: str, status: int) -> None:
    with shell(machine, script) as terminal:
        assert terminal.status() == status
        assert terminal.settings() == terminal.before


def test_nothing_of_the_output_is_lost(machine: EnterHost) -> None:
    with shell(machine, "seq 1 60000; echo the end") as terminal:
        assert terminal.status() == 0
        assert len(terminal.said.split()) == 60002


def test_control_c_and_a_new_window_reach_the_command(machine: EnterHost) -> None:
    script = "trap 'stty size' WINCH; trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.1; done"
    with shell(machine, script) as terminal:
        terminal.until("ready")
        terminal.resize(10, 20)
        terminal.until("10 20")
        terminal.type("\x03")
        terminal.until("interrupted")
        assert terminal.status() == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_signals_to_us_are_the_commands(machine: EnterHost, number: signal.Signals) -> None:
    with shell(
        machine, f"trap 'echo heard; exit 4' {number.name[3:]}; echo ready; while :; do sleep 0.1; done"
    ) as terminal:
        terminal.until("ready")
        os.kill(terminal.pid, number)
        terminal.until("heard")
        assert terminal.status() == 4


@pytest.mark.hostile
@pytest.mark.parametrize("left", ["trap '' HUP; sleep 60", "trap '' HUP; while :; do echo flood; done"])
def test_a_process_that_keeps_the_terminal_delays_nobody(machine: EnterHost, left: str) -> None:
    with shell(machine, f"({left}) & sleep 0.2; exit 5") as terminal:
        assert terminal.status(10) == 5
    machine.cgroups.kill("users/nobody/web")


@pytest.mark.hostile
@pytest.mark.parametrize("script", ["stty raw -echo", "exec 0<&- 1>&- 2>&-", "stty raw -echo; kill -STOP $$"])
def test_a_command_that_ignores_input_and_signals_can_be_left(machine: EnterHost, script: str) -> None:
    stubborn = f"trap '' INT TERM HUP QUIT; echo ready; {script}; while :; do sleep 0.1; done"
    with shell(machine, stubborn) as terminal:
        terminal.until("ready")
        wait_for(lambda: terminal.settings() != terminal.before, what="it is raw")
        for _ in range(20):
            terminal.type("\x03" * 1000)
        time.sleep(0.3)  # until the command has its input full
        terminal.type("\x1d\x1d\x1d")
        assert terminal.status(10) == HUNG_UP
        assert terminal.settings() == terminal.before
    machine.cgroups.kill("users/nobody/web")


@pytest.mark.hostile
def test_a_frozen_command_can_be_left(machine: EnterHost) -> None:
    with shell(machine, "echo ready; sleep 60") as terminal:
        terminal.until("ready")
        machine.cgroups.write("users/nobody/web", "cgroup.freeze", "1")
        terminal.type("\x1d\x1d\x1d")
        assert terminal.status(10) == HUNG_UP
    machine.cgroups.kill("users/nobody/web")
    machine.cgroups.write("users/nobody/web", "cgroup.freeze", "0")


def test_a_terminal_that_is_closed_ends_both(machine: EnterHost) -> None:
    with shell(machine, "echo ready; sleep 60") as terminal:
        terminal.until("ready")
        terminal.close()
        assert terminal.status(10) in (HUNG_UP, -signal.SIGHUP)
        wait_for(lambda: not machine.cgroups.pids("users/nobody/web"), what="the command has ended")


def ticks(pid: int) -> int:
    """What it has used of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_command_that_closes_its_terminal_costs_no_cpu_time(machine: EnterHost) -> None:
    with shell(machine, "echo ready; exec 0<&- 1>&- 2>&- 3</dev/null; sleep 2") as terminal:
        terminal.until("ready")
        time.sleep(0.3)  # until it waits
        before = ticks(terminal.pid)
        time.sleep(0.7)  # what it takes meanwhile is measured
        assert ticks(terminal.pid) - before < 20
        assert terminal.status() == 0


def test_only_what_is_a_terminal_becomes_one(machine: EnterHost) -> None:
    here, there = os.pipe()
    script = "for fd in 0 1 2; do [ -t $fd ] && echo $fd terminal >&2 || echo $fd none >&2; done; cat"
    with shell(machine, script, given={0: here}) as terminal:
        os.close(here)
        os.write(there, b"from a pipe\n")
        os.close(there)
        terminal.until("from a pipe")
        assert terminal.status() == 0
        assert terminal.said.split()[:6] == ["0", "none", "1", "terminal", "2", "terminal"]
        assert "\r\r\n" not in terminal.said
        assert terminal.settings() == terminal.before


def test_into_a_pipe_lines_are_passed_and_the_terminal_stays(machine: EnterHost) -> None:
    here, there = os.pipe()
    with on_terminal(machine, "cat", given={1: there}) as terminal:
        os.close(there)
        terminal.type("a line\n")
        assert os.read(here, 99) == b"a line\n"
        assert terminal.settings() == terminal.before
        terminal.type("\x04")
        assert terminal.status() == 0
        assert terminal.said == "a line\r\n", "root's terminal echoes, once"
    os.close(here)


def test_a_pager_behind_it_has_the_keys(machine: EnterHost) -> None:
    """Who reads the pipe has set root's terminal to single keys, as less(1) does."""
    here, there = os.pipe()
    with shell(machine, "echo page; sleep 60", given={1: there}) as terminal:
        os.close(there)
        assert os.read(here, 99) == b"page\n"
        single = termios.tcgetattr(terminal.master)
        single[3] &= ~termios.ICANON
        termios.tcsetattr(terminal.master, termios.TCSANOW, single)
        time.sleep(0.3)  # until it is back at its wait; nothing shows that
        terminal.type("q")
        time.sleep(0.5)  # long enough for what must not come
        reader = os.open(terminal.name, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        assert os.read(reader, 9) == b"q"
        os.close(reader)
    os.close(here)


def test_a_job_in_the_background_goes_on_and_reads_when_it_is_in_front(machine: EnterHost) -> None:
    environment = {**QUIET, "PS1": "ready> ", "TERM": "dumb", "HISTFILE": ""}
    with Terminal(["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"], environment) as root:
        root.until("ready> ")
        job = " ".join(f"'{word}'" for word in line(machine, "sh", "-c", "echo at work; read word; echo got:$word"))
        root.type(f"{job} &\n")
        root.until("at work\r\n")
        root.type("echo shell:$((1 + 1))\n")
        root.until("shell:2")
        root.type("fg\n")
        time.sleep(1)  # the shell says nothing when the command has the terminal
        root.type("hello\n")
        root.until("got:hello")
        root.type("echo after:$((1 + 2))\n")
        root.until("after:3")


@pytest.mark.hostile
def test_redirected_on_a_terminal_it_has_a_session_of_its_own(machine: EnterHost, place: Path) -> None:
    """Root's terminal is none of the descriptors, and would be /dev/tty."""
    out = os.open(place / "said", os.O_RDWR | os.O_CREAT)
    null = os.open("/dev/null", os.O_RDWR)
    with on_terminal(machine, *burden.PYTHON, given={0: null, 1: out, 2: null}) as terminal:
        assert terminal.status() == 0
    found = burden.found_in((place / "said").read_text())
    leader, group, pid, _ = found["session"]
    assert found["terminals"] == {}
    assert leader == group == pid
    os.close(out)
    os.close(null)


def test_redirected_on_a_terminal_it_can_be_interrupted(machine: EnterHost) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    with on_terminal(machine, "sleep", "60", given={0: null, 1: null, 2: null}) as terminal:
        wait_for(lambda: machine.cgroups.pids("users/nobody/web"), what="it has begun")
        time.sleep(0.2)  # until it is the program; nothing shows that
        terminal.type("\x03")
        assert terminal.status(10) == -signal.SIGINT
    os.close(null)


def test_what_is_wrong_is_said_on_the_terminal(machine: EnterHost) -> None:
    with on_terminal(machine, "/no/such/program") as terminal:
        assert terminal.status() == 127
        assert "No such file" in terminal.said
        assert terminal.settings() == terminal.before
