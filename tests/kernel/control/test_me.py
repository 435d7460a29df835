"""`paas-isolate me` as a customer on this kernel: from the daemon, and from the kernel's own files without it."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.kernel.control import ALICE, CAROL
from tests.support.kernel.host import NO_LIMIT, TestHost
from tests.support.kernel.running_daemon import RunningDaemon

pytestmark = pytest.mark.kernel
STEP_DOWN = """
import contextlib, io, os, sys
import json, locale, paas_isolate.cli.commands, paas_isolate.cli.me
from paas_isolate.cli import output
from paas_isolate.cli.main import run
with contextlib.redirect_stdout(io.StringIO()):
    output.table(("",), [("",)]); run(["me", "--help"]); run(["me", "--wrong"])
open(sys.argv[2], "w").write("0")
uid = int(sys.argv[1]); os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
sys.exit(run(sys.argv[3:]))
"""


def me(host: TestHost, uid: int, *options: str, leaf: str = "") -> subprocess.CompletedProcess[str]:
    """By a user, in a leaf of the tree or outside. Python may lie where only root can read it: root imports."""
    procs = f"{host.cgroups.root}/{leaf}/cgroup.procs" if leaf else "/dev/null"
    words = [sys.executable, "-c", STEP_DOWN, str(uid), procs, "--run", os.readlink(host.place / "run"), "me", *options]
    return subprocess.run(words, capture_output=True, text=True, cwd="/")


def test_a_customer_sees_the_own_account(daemon: RunningDaemon, host: TestHost) -> None:
    done = me(host, ALICE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("account alice\n")
    assert re.search(r"^  web +ok ", done.stdout, re.M)
    assert re.search(r"^no limit was hit since \d\d:\d\d:\d\d$", done.stdout, re.M)
    assert not re.search("bob|carol", done.stdout)
    told = json.loads(me(host, ALICE, "--json").stdout)
    assert [*told] == ["account", "plan", "addresses", "cgroups", "watched", "hits", "notes"]
    host.account("alice", f"{NO_LIMIT}\nsuspended: 7\n")
    daemon.says("suspended is '7'")
    done = me(host, ALICE)
    assert re.search(r"^alice +kept ", done.stdout, re.M)
    assert "wrong in line 3 (suspended)" in done.stdout


def test_what_is_none_of_its_words_is_wrong_usage(daemon: RunningDaemon, host: TestHost) -> None:
    assert daemon.end() == 0
    done = me(host, ALICE, "stop", "web")
    assert done.returncode == 5
    assert "the daemon does not answer, and only it can stop" in done.stderr
    done = me(host, ALICE, "fly", "web")
    assert done.returncode == 2
    assert "no verb is called 'fly'; there are: start, stop, restart" in done.stderr


def test_a_user_without_an_account_is_told_so(daemon: RunningDaemon, host: TestHost) -> None:
    for uid, words in ((CAROL, "exempt"), (CAROL + 1, "no account")):
        done = me(host, uid)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr


@pytest.mark.parametrize("how", ["stopped", "killed", "busy"])
def test_without_the_daemon_the_kernels_files_are_read(
    daemon: RunningDaemon, host: TestHost, run: Path, how: str
) -> None:
    if how == "stopped":
        assert daemon.end() == 0
    elif how == "killed":
        daemon.process.kill()
    else:
        daemon.process.send_signal(19)
    assert (run / "control.sock").exists() == (how != "stopped")
    done = me(host, ALICE, leaf="users/alice/web")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("account alice\n")
    assert re.search(r"^  web +ok ", done.stdout, re.M)
    assert "the daemon does not answer" in done.stdout
    if how == "busy":
        return
    outside = me(host, ALICE)
    assert outside.returncode == 5
    assert "in no account" in outside.stderr


def test_customers_switch_their_own_mails_off_and_on(daemon: RunningDaemon, host: TestHost) -> None:
    off = host.place / "state/notices-off"
    assert me(host, ALICE, "notices").stdout == "mails about limits of alice are on\n"
    done = me(host, ALICE, "notices", "off")
    assert (done.returncode, done.stdout) == (0, "mails about limits of alice are off\n"), done.stderr
    assert [path.name for path in off.iterdir()] == ["alice"]
    assert (off.stat().st_mode & 0o777, (off / "alice").stat().st_uid) == (0o700, 0)
    time.sleep(1.1)  # an order a second
    assert me(host, ALICE, "notices", "on").stdout == "mails about limits of alice are on\n"
    assert [*off.iterdir()] == []
    for words in (("bob", "off"), ("../bob",), ("off", "bob")):
        assert me(host, ALICE, "notices", *words).returncode == 2
    assert me(host, CAROL, "notices", "off").returncode == 1
    assert [*off.iterdir()] == []
