"""paas-enter and paas-run pass nothing of root's on to a customer's program."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.model.service_program import Failure, Health
from tests.support.kernel import burden
from tests.support.kernel.enter_host import CUSTOMER, EnterHost
from tests.support.kernel.pam_session import QUIET
from tests.support.kernel.shim_host import ShimHost, build, opened
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]


@pytest.fixture(scope="module")
def keeper() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield build(Path(place))


@pytest.fixture
def host(keeper: Path, cgroups: CgroupTree) -> Iterator[ShimHost]:
    with opened(keeper, cgroups) as host:
        (host.home / "thief.py").write_text(burden.THIEF)
        yield host


@pytest.fixture
def keyring() -> None:
    burden.keep_a_secret()


def enter(machine: EnterHost, *words: str, **how: Any) -> dict[str, Any]:
    done = machine.run(*words, "nobody/web", command=burden.PYTHON, close_fds=False, **how)
    assert done.returncode == 0, done.stderr
    return burden.found_in(done.stdout)


def test_a_command_inherits_nothing(machine: EnterHost, keyring: None) -> None:
    burden.assert_nothing_of(enter(machine, preexec_fn=burden.take_up))


def test_limits_of_the_caller_are_kept_where_that_is_asked_for(machine: EnterHost) -> None:
    limits = enter(machine, "--keep-rlimits", preexec_fn=burden.take_up)["limits"]
    assert (limits["RLIMIT_NOFILE"][0], limits["RLIMIT_FSIZE"][0]) == (77, 1 << 20)


@pytest.mark.parametrize("quota", ["free", "used up"])
def test_no_key_of_roots_is_read_and_none_is_planted(machine: EnterHost, keyring: None, quota: str) -> None:
    with burden.no_more_keys(CUSTOMER) if quota == "used up" else nullcontext():
        found = enter(machine)
    assert found["secret"] is None
    assert burden.key_is_safe()


def test_without_a_terminal_it_is_the_same_process_and_leads_a_session(machine: EnterHost) -> None:
    def session() -> list[int]:
        line = (str(machine.launcher), "--doors", str(machine.doors), "nobody/web", "--", *burden.PYTHON)
        process = subprocess.Popen(line, env=QUIET, cwd="/", stdout=subprocess.PIPE, text=True, start_new_session=True)
        said, _ = process.communicate(timeout=20)
        session: list[int] = burden.found_in(said)["session"]
        assert session[2] == process.pid
        return session

    leader, group, pid, _ = session()
    assert leader == group == pid


def test_the_leader_of_a_group_gets_a_session_too(machine: EnterHost) -> None:
    """As a supervisor has it, which then ends the group by its number."""
    ours = [str(machine.launcher), "--doors", str(machine.doors), "nobody/web", "--", *burden.PYTHON]
    apart = "import os, sys\nif os.fork() == 0: os.setpgid(0, 0); os.execv(sys.argv[1], sys.argv[1:])\nos.wait()"
    done = burden.run([sys.executable, "-c", apart, *ours], env=QUIET, cwd="/", start_new_session=True)
    leader, group, pid, _ = burden.found_in(done.stdout)["session"]
    assert leader == group == pid


def test_closed_descriptors_are_opened_on_nothing(machine: EnterHost) -> None:
    line = f"exec {machine.launcher} --doors {machine.doors} nobody/web -- ls -l /proc/self/fd <&- 2>&-"
    said = burden.run(["sh", "-c", line], env=QUIET, cwd="/").stdout
    assert said.count("/dev/null") == 2
    assert "cgroup" not in said


def thief(host: ShimHost, name: str) -> str:
    """A command that says what it finds in the file `name`; it is there when it is whole."""
    return f"/usr/bin/python3 -IS {host.home}/thief.py > {name}.part && mv {name}.part {name}"


def found_by(host: ShimHost, name: str) -> dict[str, Any]:
    wait_for((host.home / name).exists, what=f"{name} was found out")
    return burden.found_in((host.home / name).read_text())


@pytest.mark.parametrize("who", ["program", "health check", "hook"])
def test_a_service_and_what_runs_beside_it_inherit_nothing(host: ShimHost, keyring: None, who: str) -> None:
    more: dict[str, Any] = {}
    command = "sleep 60"
    if who == "program":
        command = thief(host, "found")
    elif who == "health check":
        more["health"] = Health(thief(host, "found"), every=200, failures=9)
    else:
        command = "exit 1"
        more["on_failure"] = Failure(run=thief(host, "found"))
    assert host.begin(command, before=burden.take_up, **more) == ""
    found = found_by(host, "found")
    burden.assert_nothing_of(found)
    assert found["session"][0] == found["session"][1]
    assert found["terminals"] == {}
    assert burden.key_is_safe()


@pytest.mark.parametrize("who", ["program", "health check", "hook"])
def test_limits_of_a_service_hold_for_all_that_runs_for_it(host: ShimHost, who: str) -> None:
    wish = 600_000 if burden.may(burden.SYS_RESOURCE) else 99  # more than a program has without
    more: dict[str, Any] = {"rlimits": (("nofile", wish), ("core", 0))}
    command = "exit 1"
    if who == "program":
        command = thief(host, "found")
    elif who == "health check":
        command, more["health"] = "sleep 60", Health(thief(host, "found"), every=200, failures=9)
    else:
        more["on_failure"] = Failure(run=thief(host, "found"))
    assert host.begin(command, before=burden.take_up, **more) == ""
    limits = found_by(host, "found")["limits"]
    assert (limits["RLIMIT_NOFILE"], limits["RLIMIT_CORE"]) == ([wish, wish], [0, 0])
    assert limits["RLIMIT_FSIZE"] == [-1, -1]


def test_a_service_reads_no_key_of_roots_when_it_can_have_none_itself(host: ShimHost, keyring: None) -> None:
    with burden.no_more_keys(CUSTOMER):
        assert host.begin(thief(host, "found")) == ""
        assert found_by(host, "found")["secret"] is None
    assert burden.key_is_safe()


def test_a_messenger_inherits_nothing(host: ShimHost, keyring: None) -> None:
    """Who tells of an end that the keeper has not lived to see."""
    hook = Failure(run=thief(host, "found"))
    assert host.begin("true", before=burden.take_up, ended="signal 9 (Killed)", on_failure=hook) == ""
    burden.assert_nothing_of(found_by(host, "found"))


def test_signals_of_the_caller_are_the_commands(machine: EnterHost) -> None:
    line = (str(machine.launcher), "--doors", str(machine.doors), "nobody/web", "--", "sleep", "60")
    process = subprocess.Popen(line, env=QUIET, cwd="/", start_new_session=True)
    wait_for(lambda: b"sleep" in Path(f"/proc/{process.pid}/cmdline").read_bytes()[:6], what="it has begun")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
