"""The command itself on this kernel, in a tree of the test's own (`tree.root`), with real processes of real uids.

Limits need controllers: tests/guest has them. Here are cgroups, places, crashes and overlap.
"""

import json
import os
import random
import signal
import subprocess
import time

import pytest

from tests.support.kernel.host import ALICE, BOB, CAROL, NO_LIMIT, TestHost, many, wait_for_uid, where
from tests.support.kernel.processes import Sleepers

pytestmark = pytest.mark.kernel


def test_strays_come_in_and_a_second_run_has_nothing_to_do(host: TestHost, sleeper: Sleepers) -> None:
    host.account("alice", f"services: {{work: {{match: {{command: '*worker*'}}, {NO_LIMIT}}}}}\n")
    host.account("bob")
    pids = {
        sleeper(uid=ALICE).pid: "users/alice/other",
        sleeper(uid=ALICE, program="worker = 1; time.sleep(1000)").pid: "users/alice/work",
        sleeper(uid=BOB).pid: "users/bob/other",
    }
    nobody, root = sleeper(uid=CAROL).pid, sleeper().pid
    for pid, uid in zip(pids, (ALICE, ALICE, BOB), strict=True):
        wait_for_uid(uid, pid)
    wait_for_uid(CAROL, nobody)
    before = {pid: where(host.cgroups, pid) for pid in (nobody, root)}
    assert host.run("coverage").returncode == 3
    done = host.run("reconcile")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {pid: where(host.cgroups, pid) for pid in pids} == pids
    assert {pid: where(host.cgroups, pid) for pid in before} == before
    again = host.run("reconcile")
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")
    covered = host.run("coverage", "--json")
    assert covered.returncode == 0
    assert json.loads(covered.stdout)["confined"] == 3


def test_a_fork_storm_is_caught_whole(host: TestHost, sleeper: Sleepers) -> None:
    host.account("alice")
    storm = "while 1: os.fork() or (time.sleep(0.2), os._exit(0)); time.sleep(0.002)"
    pid = sleeper(uid=ALICE, program=f"exec({storm!r})").pid
    wait_for_uid(ALICE, pid)
    time.sleep(0.3)
    assert host.run("reconcile", "-q").returncode in (0, 4)
    time.sleep(0.3)  # what was forked outside before the parent moved has ended by now
    assert json.loads(host.run("coverage", "--json").stdout)["total"] > 5
    assert host.run("coverage").returncode == 0


def test_users_that_left_and_accounts_that_go(host: TestHost, sleeper: Sleepers) -> None:
    host.account("alice", "users: [alice, carol]\n")
    alice, carol = sleeper(uid=ALICE).pid, sleeper(uid=CAROL).pid
    wait_for_uid(ALICE, alice)
    wait_for_uid(CAROL, carol)
    assert host.run("reconcile").returncode == 0
    host.account("alice")
    assert host.run("reconcile").returncode == 0
    assert (where(host.cgroups, alice), where(host.cgroups, carol)) == ("users/alice/other", "users/alice/other")
    (host.etc / "accounts.d" / "alice.yaml").unlink()
    waits = host.run("reconcile")
    assert waits.returncode == 4
    told = ", ".join(map(str, sorted((alice, carol))))
    assert f"alice is not removed: waits until its processes have ended: {told}" in waits.stderr
    os.kill(alice, signal.SIGKILL)
    os.kill(carol, signal.SIGKILL)
    for _ in range(100):
        if host.run("reconcile").returncode == 0:
            break
    assert host.tree() == []


@pytest.mark.parametrize(("policy", "place"), [("penalty", "penalty"), ("plan small", "users/carol/other")])
def test_users_without_an_account(host: TestHost, sleeper: Sleepers, policy: str, place: str) -> None:
    (host.etc / "plans.d" / "small.yaml").write_text("plan: small\n")
    host.configure(f", without_account: {policy}")
    carol = sleeper(uid=CAROL).pid
    wait_for_uid(CAROL, carol)
    done = host.run("reconcile")
    assert done.returncode == 0, done.stderr
    assert where(host.cgroups, carol) == place


def test_a_limit_that_the_kernel_cannot_keep_is_an_error_by_name(host: TestHost) -> None:
    if "pids" in (host.cgroups.read("", "cgroup.controllers") or ""):
        pytest.skip("this kernel can keep it")
    host.account("alice", "limits: {pids: 50}\n")
    done = host.run("reconcile")
    assert done.returncode == 1
    assert "set pids.max of users/alice to 50: this kernel offers no pids.max here" in done.stderr
    assert host.tree() == ["alice/login", "alice/other"], "everything else is done all the same"


def test_freeze_holds_until_thaw(host: TestHost, sleeper: Sleepers) -> None:
    host.account("alice", f"services: {{web: {{{NO_LIMIT}}}}}\n")
    assert host.run("reconcile").returncode == 0
    assert host.run("freeze", "alice/web").returncode == 0
    assert host.run("reconcile").stdout == "nothing to do\n"
    assert host.cgroups.read("users/alice/web", "cgroup.freeze") == "1"
    host.cgroups.write("users/alice/web", "cgroup.freeze", "0")
    assert "set cgroup.freeze of users/alice/web to 1 (was 0)" in host.run("reconcile").stdout
    assert host.run("thaw", "alice/web").returncode == 0
    assert host.cgroups.read("users/alice/web", "cgroup.freeze") == "0"


def test_two_runs_at_once(host: TestHost) -> None:
    for number in range(60):
        host.account(f"a{number}", "users: [alice]\nowner: alice\n" if not number else f"users: [u{number}]\n")
    (host.place / "passwd").open("a").write("".join(f"u{n}:x:{BOB}:1::/:/bin/sh\n" for n in range(1, 2)))
    runs = [subprocess.Popen(host.command("reconcile", "--cron"), text=True, stdout=-1, stderr=-1) for _ in range(6)]
    ends = [(run.communicate(), run.returncode) for run in runs]
    assert {status for _, status in ends} <= {4, 75}
    assert any(status == 4 for _, status in ends)
    assert all(said == ("", "") for said, status in ends if status == 75)


def killed_after(host: TestHost, seconds: float) -> None:
    run = subprocess.Popen(host.command("reconcile"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)  # any moment
    run.kill()
    run.wait()


@pytest.mark.parametrize("milliseconds", range(80, 400, 40))
def test_killed_at_any_moment_the_next_run_converges(host: TestHost, milliseconds: int) -> None:
    many(host, 40)
    killed_after(host, milliseconds / 1000)
    done = host.run("reconcile", "--wait", "5")
    assert done.returncode == 0, done.stderr
    assert host.tree() == sorted(f"a{n}/{leaf}" for n in range(40) for leaf in ("login", "other"))
    assert host.run("reconcile").stdout == "nothing to do\n"


@pytest.mark.long
def test_killed_again_and_again_while_the_fleet_changes(host: TestHost) -> None:
    many(host, 40)
    for turn in range(300):
        changed = host.etc / "accounts.d" / f"a{turn % 40}.yaml"
        if changed.exists():
            changed.unlink()
        else:
            host.account(f"a{turn % 40}", f"users: [u{turn % 40}]\n")
        killed_after(host, random.uniform(0.05, 0.5))
    done = host.run("reconcile", "--wait", "5", "--remove")
    assert done.returncode == 0, done.stderr
    left = {path.stem for path in (host.etc / "accounts.d").iterdir()}
    assert host.tree() == sorted(f"{name}/{leaf}" for name in left for leaf in ("login", "other"))
