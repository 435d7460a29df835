"""pam/Makefile: no warning, and the module exports what libpam calls and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "pam"
TOOLS = all(shutil.which(tool) for tool in ("gcc", "make", "nm"))
COMPILER = TOOLS and Path("/usr/include/security/pam_modules.h").exists()
pytestmark = pytest.mark.skipif(not COMPILER, reason="gcc, make, binutils or libpam0g-dev is not installed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = shutil.copytree(SOURCE, tmp_path_factory.mktemp("built") / "pam")
    make = ("make", "--silent", "-C", place, "CFLAGS=-O2 -Werror", "clean", "all")
    done = subprocess.run(make, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return place


def test_the_module_exports_its_session_functions_alone(built: Path) -> None:
    words = ("nm", "-D", "--defined-only", "--format=just-symbols", built / "pam_paas_isolate.so")
    found = subprocess.check_output(words, text=True).split()
    assert sorted(found) == ["pam_sm_close_session", "pam_sm_open_session"]


@pytest.mark.parametrize("name", ["paas-enter", "paas-run"])
def test_a_launcher_links_no_library_but_libc(built: Path, name: str) -> None:
    found = subprocess.check_output(["readelf", "-d", built / name], text=True)
    assert [line.split("[")[1] for line in found.splitlines() if "(NEEDED)" in line] == ["libc.so.6]"]
