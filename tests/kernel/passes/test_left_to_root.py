"""A process with a customer's uid in a cgroup of root's stays there, and is listed."""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernel.host import ALICE, NO_LIMIT, TestHost, wait_for_uid, where
from tests.support.kernel.processes import Sleepers

pytestmark = pytest.mark.kernel


@pytest.fixture
def box(host: TestHost) -> Iterator[Path]:
    """A cgroup beside the tree, as a container has one."""
    above = Path(host.cgroups.mount, f"paas-box-{secrets.token_hex(4)}")
    made = above / "box-1.scope"
    made.mkdir(parents=True)
    yield made
    made.rmdir()
    above.rmdir()


def test_a_container_of_roots_is_left_and_listed(host: TestHost, sleeper: Sleepers, box: Path) -> None:
    host.account("alice", NO_LIMIT)
    pid = sleeper(uid=ALICE).pid
    wait_for_uid(ALICE, pid)
    (box / "cgroup.procs").write_text(str(pid))
    host.configure(f", leave: [{box.parent.name}/box-*.scope]")
    done = host.run("reconcile")
    assert done.returncode == 0, done.stderr
    place = f"/{box.parent.name}/{box.name}"
    assert where(host.cgroups, pid) == place
    answer = host.run("coverage", "--json")
    told = json.loads(answer.stdout)
    assert (answer.returncode, told["confined"], told["total"], told["left"]) == (0, 0, 0, 1)
    assert [(process["pid"], process["why"], process["belongs"]) for process in told["processes"]] == [
        (pid, "left", place)
    ]
    assert "1 left where root put them" in host.run("coverage").stdout
    assert f"stay where root put them: {place}" in host.run("doctor").stdout
    host.configure(", leave: []")
    assert host.run("reconcile").returncode == 0
    assert where(host.cgroups, pid) == "users/alice/other"
    assert os.path.exists(f"/proc/{pid}")
