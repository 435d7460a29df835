"""`doctor --selftest` on a kernel with all controllers, whose root is a disk: every limit holds, and nothing stays."""

import os
from pathlib import Path

from tests.support.guest.machine import TREE
from tests.support.guest.paas import Paas

VITAL = {"memory.max", "memory.high", "memory.oom.group", "pids.max", "cpu.max", "cgroup.freeze", "cgroup.kill"}


def everything() -> set[str]:
    """The cgroups of the tree, and what is pinned."""
    pins = Path("/sys/fs/bpf").glob("*")
    return {place for place, _, _ in os.walk(TREE)} | {str(path) for path in pins}


def test_the_selftest_sees_every_limit_hold_and_leaves_nothing(paas: Paas, empty: None) -> None:
    before = everything()
    checks = {check["name"]: check for check in paas("doctor", "--selftest", "--json").json}
    assert everything() == before
    assert {name for name in VITAL if checks[name]["verdict"] != "OK"} == set()
    assert checks["pam module"]["verdict"] == "OK"
    assert [check for check in checks.values() if check["verdict"] == "FAILED"] == []
