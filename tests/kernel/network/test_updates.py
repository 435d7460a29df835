"""While ruleset and gate change, no connection is wrongly allowed and none is wrongly refused."""

import json
import os
import subprocess
import sys

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.paths import SUPPORT

pytestmark = pytest.mark.kernel
STORM = SUPPORT / "kernel" / "update_storm.py"


def storm(cgroups: CgroupTree, changes: int) -> None:
    for path in ("users", "users/alice", "users/bob"):
        cgroups.create(path)
    words = ("unshare", "--net", "--mount", "--propagation", "private", sys.executable, str(STORM))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([*words, cgroups.root, str(changes)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(f"{changes} changes in {told['seconds']:.1f} s beside {told['players']}")  # noqa: T201  (for pytest -s)
    assert all(tried for tried, _ in told["players"].values()), told
    assert not any(wrong for _, wrong in told["players"].values()), told


def test_five_hundred_changes_beside_customers(cgroups: CgroupTree) -> None:
    storm(cgroups, 500)


@pytest.mark.long
def test_ten_thousand_changes_beside_customers(cgroups: CgroupTree) -> None:
    storm(cgroups, 10_000)
