"""The packages for arm64, cross-compiled without a warning, and what is in them run by qemu's emulation of programs
(qemu-user): no machine, no cgroup, no login."""

import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from building import build
from checking import tool_env
from testbed import host, mirror
from testbed.image import ASIDE
from testbed.progress import Progress
from testbed.recipe import dependencies

pytestmark = pytest.mark.long

SOURCE = Path(__file__).resolve().parents[2]
MODULE = "usr/lib/aarch64-linux-gnu/security/pam_paas_isolate.so"
Emulated = Callable[..., "subprocess.CompletedProcess[str]"]

IMPORT = """
import importlib, pkgutil, paas_isolate
names = [found.name for found in pkgutil.walk_packages(paas_isolate.__path__, "paas_isolate.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the packages and of all that they depend on, in Debian 13's versions for arm64."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if platform.machine() == "aarch64":
        pytest.skip("nothing is to be emulated on this machine")
    place = tmp_path_factory.mktemp("arm64")
    tree, log = place / "root", place / "log"
    packages = build.build("trixie", "arm64", place / "packages", progress=Progress())
    depends = dependencies((SOURCE / "packaging/debian/control").read_text(), "trixie")
    argv = [*ASIDE, host.program("mmdebstrap"), "--mode=root", "--variant=extract", "--architectures=arm64"]
    argv += [f"--include={','.join(depends)}", *(f"--aptopt={option}" for option in mirror.transport_options())]
    host.logged([*argv, "trixie", str(tree), mirror.serving("trixie")], log=log)
    for package in packages:
        host.logged(["dpkg-deb", "--extract", str(package), str(tree)], log=log)
    (tree / "lib").symlink_to("usr/lib")  # base-files, which is not among them, has it
    for directory in ("accounts.d", "plans.d"):
        (tree / "etc/paas-isolate" / directory).mkdir(mode=0o700)  # postinst makes them
    return tree


@pytest.fixture(scope="module")
def emulated(root: Path) -> Emulated:
    """Runs a program of that tree."""
    qemu = tool_env.unpacked("qemu-user-static") / "usr/bin/qemu-aarch64-static"

    def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        line = [str(qemu), "-L", str(root), str(root / program), *words]
        locale = {"LC_ALL": "C.UTF-8"}
        return subprocess.run(line, env=locale, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)

    return run


def test_the_launchers_start(emulated: Emulated) -> None:
    assert emulated("usr/sbin/paas-enter", "--help").stdout.startswith("Usage: paas-enter ")
    assert "the request is not whole" in emulated("usr/sbin/paas-run").stderr


def test_the_pam_module_is_loaded(emulated: Emulated, root: Path) -> None:
    load = "import ctypes, os, sys; print(os.uname().machine, ctypes.CDLL(sys.argv[1]).pam_sm_open_session is not None)"
    done = emulated("usr/bin/python3", "-c", load, str(root / MODULE))
    assert done.stdout == "aarch64 True\n", done.stderr


def test_the_program_starts_with_debians_libraries(emulated: Emulated, root: Path) -> None:
    program = "usr/bin/python3", "-IB", str(root / "usr/bin/paas-isolate")
    done = emulated(*program, "--etc", str(root / "etc/paas-isolate"), "check")
    assert done.returncode == 0, done.stderr


def test_every_module_is_imported(emulated: Emulated) -> None:
    done = emulated("usr/bin/python3", "-IB", "-c", IMPORT)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 200
