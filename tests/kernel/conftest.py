"""Fixtures: a cgroup tree of the test's own, processes in it, and machines that use it."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas_isolate.errors import HostError
from paas_isolate.linux.cgroup.tree import CgroupTree
from paas_isolate.linux.system import mounts
from tests.support.kernel import service_host
from tests.support.kernel.attackers import Attackers
from tests.support.kernel.host import TestHost
from tests.support.kernel.login_host import LoginHost
from tests.support.kernel.network_host import NetworkHost
from tests.support.kernel.network_namespaces import NetworkNamespace, neighbour_of, opened
from tests.support.kernel.pam_build import PamBuild, make
from tests.support.kernel.pam_session import SANITIZERS, STRICT, Built, build
from tests.support.kernel.pam_sources import ENTER
from tests.support.kernel.processes import Sleepers
from tests.support.kernel.view_host import ViewHost
from tests.support.paths import HOSTILE
from tests.support.waiting import wait_for


@pytest.fixture
def cgroups() -> Iterator[CgroupTree]:
    """An empty tree with a random name. Whatever is left in it is killed and removed afterwards."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    try:
        mount = mounts.cgroup2().point
    except HostError as error:
        pytest.skip(str(error))
    root = f"{mount}/paas-test-{secrets.token_hex(4)}"
    os.mkdir(root)
    try:
        with CgroupTree(mount, root) as opened:
            yield opened
            opened.kill("")
            wait_for(lambda: not opened.populated(""), what=f"nobody is left in {root}")
            for path in reversed(list(_below(opened, ""))):
                opened.remove(path)
    finally:
        os.rmdir(root)


def _below(opened: CgroupTree, path: str) -> Iterator[str]:
    for name in opened.children(path):
        child = f"{path}/{name}" if path else name
        yield child
        yield from _below(opened, child)


@pytest.fixture
def sleeper() -> Iterator[Sleepers]:
    """Start processes of any uid that do nothing; they are ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*, uid: int = 0, program: str = "time.sleep(1000)") -> subprocess.Popen[bytes]:
        # Python may lie where only root can read it (a home): root starts it, it imports, then it steps down.
        become = f"import os, signal, time; os.setgroups([]); i = {uid}; os.setresgid(i, i, i); os.setresuid(i, i, i)"
        process = subprocess.Popen([sys.executable, "-c", f"{become}; {program}"], cwd="/")
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def host(tmp_path_factory: pytest.TempPathFactory, cgroups: CgroupTree) -> TestHost:
    return TestHost(tmp_path_factory.mktemp("host"), cgroups)


@pytest.fixture(scope="session")
def pam_build(tmp_path_factory: pytest.TempPathFactory) -> PamBuild:
    return make(tmp_path_factory.mktemp("pam_build"))


@pytest.fixture
def login_host(tmp_path: Path, pam_build: PamBuild, cgroups: CgroupTree) -> Iterator[LoginHost]:
    with LoginHost(tmp_path, pam_build, cgroups) as opened:
        yield opened


@pytest.fixture
def space() -> Iterator[NetworkNamespace]:
    with opened() as found:
        yield found


@pytest.fixture
def guarded(space: NetworkNamespace) -> NetworkNamespace:
    """With the ruleset in it."""
    space.nft("line.install(rules)")
    return space


@pytest.fixture
def lan(guarded: NetworkNamespace) -> Iterator[NetworkNamespace]:
    """A machine of the LAN with a route to the pool."""
    with neighbour_of(guarded) as found:
        yield found


@pytest.fixture(scope="session")
def view_programs() -> Iterator[tuple[Path, Built]]:
    """Where every view has them: not below /tmp."""
    with tempfile.TemporaryDirectory(dir="/opt") as place:
        os.chmod(place, 0o755)
        launcher = Path(place) / "paas-enter"
        subprocess.run(["gcc", *STRICT, *SANITIZERS, "-o", launcher, *ENTER], check=True)
        yield launcher, build(Path(place), *SANITIZERS)


@pytest.fixture
def view_host(cgroups: CgroupTree, view_programs: tuple[Path, Built]) -> Iterator[ViewHost]:
    with tempfile.TemporaryDirectory(dir="/opt") as place:
        opened = ViewHost(TestHost(Path(place), cgroups), *view_programs)
        try:
            yield opened
        finally:
            opened.end()


@pytest.fixture(scope="session")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return service_host.build(tmp_path_factory.mktemp("sbin"))


@pytest.fixture
def wired(host: TestHost) -> Iterator[NetworkHost]:
    name = f"paas-test-{secrets.token_hex(4)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    opened = NetworkHost(host, name)
    try:
        opened.inside("ip", "link", "set", "lo", "up")
        for account in ("alice", "bob"):
            host.account(account, "limits: {memory: {kill: process}}\n")
        config = host.etc / "config.yaml"
        config.write_text(config.read_text() + "network: {}\n")
        yield opened
    finally:
        opened.end()
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture(scope="session")
def attackers() -> Iterator[Attackers]:
    with tempfile.TemporaryDirectory(dir="/opt") as place:
        Path(place).chmod(0o755)

        def built(name: str) -> Path:
            program = Path(place, name)
            if not program.exists():
                source = HOSTILE / f"{name}.c"
                subprocess.run(["gcc", *STRICT, "-O2", "-pthread", "-o", program, source], check=True)
            return program

        yield built
