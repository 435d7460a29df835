"""paas-enter, built with sanitizers, and a machine for it."""

import subprocess
from pathlib import Path

import pytest

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.enter_host import EnterHost
from tests.support.kernel.pam_session import SANITIZERS, STRICT
from tests.support.kernel.pam_sources import ENTER


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("launcher") / "paas-enter"
    subprocess.run(["gcc", *STRICT, *SANITIZERS, "-o", program, *ENTER], check=True)
    return program


@pytest.fixture
def machine(tmp_path: Path, launcher: Path, cgroups: CgroupTree) -> EnterHost:
    return EnterHost(tmp_path, launcher, cgroups)
