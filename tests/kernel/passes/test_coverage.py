"""coverage says of real processes how they were started and why they are outside."""

import json
import os

import pytest

from paas_isolate.cli.coverage import process_reader
from paas_isolate.linux.process import procfs
from tests.support.kernel.host import ALICE, BOB, TestHost, wait_for_uid
from tests.support.kernel.processes import Sleepers

pytestmark = pytest.mark.kernel


def test_origin_and_reason_of_each_process(host: TestHost, sleeper: Sleepers) -> None:
    host.account("alice")
    host.account("bob")
    bob = sleeper(uid=BOB).pid
    wait_for_uid(BOB, bob)
    assert host.run("reconcile").returncode == 0
    host.cgroups.create("users/bob/other/deep")
    outside, penalty, stranger = (sleeper(uid=ALICE).pid for _ in range(3))
    for pid in (outside, penalty, stranger):
        wait_for_uid(ALICE, pid)
    assert sleeper(uid=ALICE, program="os.fork() and os._exit(0); time.sleep(1000)").wait() == 0
    # Its child hangs below whoever takes orphans in.
    (left,) = {pid for pid, uid in procfs.effective_uids() if uid == ALICE} - {outside, penalty, stranger}
    try:
        host.cgroups.attach("penalty", penalty)
        host.cgroups.attach("users/bob/other/deep", stranger)

        answer = host.run("coverage", "--json")

        told = {each["pid"]: each for each in json.loads(answer.stdout)["processes"]}
        ours = procfs.name(os.getpid())
        assert {pid: (told[pid]["way"], told[pid]["why"]) for pid in (outside, penalty, stranger, left, bob)} == {
            outside: (ours, "elsewhere"),
            penalty: (ours, "penalty"),
            stranger: (ours, "account"),
            left: (told[left]["way"], "elsewhere"),
            bob: (ours, ""),
        }
        assert told[left]["way"] != ours
        shown = host.run("coverage").stdout
        assert "the door of the login did not open" in shown
        assert shown.splitlines()[-1] == "1 of 5 processes confined"
    finally:
        os.kill(left, 9)


def test_parent_uid_and_name_of_a_process() -> None:
    read = process_reader()
    own = read(os.getpid())
    assert own is not None
    assert (own.parent, own.uid, own.name) == (os.getppid(), os.geteuid(), procfs.name(os.getpid()))
    assert read(2**22) is None
