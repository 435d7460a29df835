"""What root runs in a cgroup of its own under a customer's uid stays there, and is named."""

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernel.host import ALICE, NO_LIMIT, Shop, wait_for_uid, where
from tests.support.kernel.processes import Sleepers

pytestmark = pytest.mark.kernel


@pytest.fixture
def box(shop: Shop) -> Iterator[Path]:
    """A cgroup beside the tree, as a container has one."""
    above = Path(shop.cgroups.mount, f"paas-box-{secrets.token_hex(4)}")
    made = above / "box-1.scope"
    made.mkdir(parents=True)
    yield made
    made.rmdir()
    above.rmdir()


def test_a_container_that_root_began_is_left_and_told(shop: Shop, sleeper: Sleepers, box: Path) -> None:
    shop.account("alice", NO_LIMIT)
    pid = sleeper(uid=ALICE).pid
    wait_for_uid(ALICE, pid)
    (box / "cgroup.procs").write_text(str(pid))
    shop.configure(f", leave: [{box.parent.name}/box-*.scope]")
    done = shop.run("reconcile")
    assert done.returncode == 0, done.stderr
    place = f"/{box.parent.name}/{box.name}"
    assert where(shop.cgroups, pid) == place
    answer = shop.run("coverage", "--json")
    told = json.loads(answer.stdout)
    assert (answer.returncode, told["confined"], told["total"], told["left"]) == (0, 0, 0, 1)
    assert [(it["pid"], it["why"], it["belongs"]) for it in told["processes"]] == [(pid, "left", place)]
    assert "1 left where root put them" in shop.run("coverage").stdout
    assert f"stay where root put them: {place}" in shop.run("doctor").stdout
    shop.configure(", leave: []")
    assert shop.run("reconcile").returncode == 0
    assert where(shop.cgroups, pid) == "users/alice/other"
    assert os.path.exists(f"/proc/{pid}")
