"""The RPM packages, built with this distribution's rpmbuild and put into an empty root: files, scriptlets, removal. A
machine of EL is needed for all else."""

import importlib
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from checking import tool_env

from paas_isolate import __version__

SOURCE = Path(__file__).parents[2]
RPM = SOURCE / "packaging" / "rpm"
TOOLS = {"rpmbuild": "rpm", "rpmlint": "rpmlint", "busybox": "busybox-static", "clang": "clang", "gcc": "gcc"}
VENDORED = ("click", "cronsim", "jinja2", "markupsafe", "psutil", "rich")
PROGRAM, MODULE = "usr/bin/paas-isolate", "usr/lib64/security/pam_paas_isolate.so"
ETC = "etc/paas-isolate"
CACHES = shutil.ignore_patterns("__pycache__")

FAKE = """#!/bin/sh
[ -e /usr/lib64/security/pam_paas_isolate.so ] && module=there || module=gone
echo "${0##*/} $* ($module)" >>/calls
[ ! -e "/fails/${0##*/} $1" ] || exit 1
[ "$1" != pam ] || : >/etc/pam.d/system-auth
"""


def test_the_spec_has_the_version_of_the_program() -> None:
    spec = (RPM / "paas-isolate.spec").read_text()
    assert re.findall(r"^Version: +(\S+)$", spec, re.MULTILINE) == [__version__]
    assert f" - {__version__}-1" in spec


def test_what_is_bundled_is_said() -> None:
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (RPM / "vendor.txt").read_text(), re.MULTILINE))
    said = re.findall(r"bundled\(python3dist\(([\w-]+)\)\) = (\S+)$", (RPM / "paas-isolate.spec").read_text(), re.M)
    assert dict(said) == {name.lower(): version for name, version in pinned.items()}


def test_each_filter_of_rpmlint_has_its_reason() -> None:
    text = (RPM / "rpmlint.toml").read_text()
    lines = text.splitlines()
    patterns = [number for number, line in enumerate(lines) if line.startswith("    '")]
    assert all(lines[number - 1].startswith("    # ") for number in patterns)
    assert all(re.compile(pattern) for pattern in tomllib.loads(text)["Filters"])


def test_no_scriptlet_restarts_the_tree() -> None:
    spec = (RPM / "paas-isolate.spec").read_text()
    assert re.findall(r"systemctl (?:try-)?re(?:start|load)\S* .*", spec) == [
        "systemctl try-restart paas-isolate-daemon.service ||"
    ]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the packages of both releases. What is bundled is what the tests run with."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    tool_env.have(TOOLS, {"/usr/include/security/pam_modules.h": "libpam0g-dev", "/usr/include/bpf": "libbpf-dev"})
    output, vendor = tmp_path_factory.mktemp("rpm"), tmp_path_factory.mktemp("vendor")
    for name in VENDORED:
        shutil.copytree(Path(importlib.import_module(name).__file__ or "").parent, vendor / name, ignore=CACHES)
        information = vendor / f"{name}-1.dist-info"
        information.mkdir()
        (information / "LICENSE").write_text(f"the licence of {name}\n")
    for release in ("9", "10"):
        build = [str(RPM / "build"), "--release", release, "--output", str(output), "--vendor", str(vendor)]
        done = subprocess.run(build, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return output


class Root:
    """A root with a shell and programs that write down how they are called."""

    def __init__(self, place: Path, packages: Path) -> None:
        self.place, self.packages = place, packages
        for directory in ("bin", "usr/bin", "run/systemd/system", "fails", "dev"):
            (place / directory).mkdir(parents=True)
        shutil.copy(shutil.which("busybox") or "", place / "bin/busybox")
        for applet in ("sh", "cat", "grep", "find"):
            (place / "bin" / applet).symlink_to("busybox")
        for name in ("systemctl", "systemd-tmpfiles"):
            self.fake(f"usr/bin/{name}")
        assert self.rpm("--initdb").returncode == 0

    def fake(self, path: str) -> None:
        (self.place / path).write_text(FAKE)
        (self.place / path).chmod(0o755)

    def rpm(self, *words: str) -> subprocess.CompletedProcess[str]:
        # Where EL has it; Debian 12's rpm would take the caller's home.
        command = ["rpm", "--root", str(self.place), "--dbpath", "/var/lib/rpm", *words]
        return subprocess.run(command, capture_output=True, text=True)

    def put(self, release: str, *words: str) -> None:
        files = [str(next(self.packages.glob(f"{name}-{__version__}-1.el{release}.x86_64.rpm"))) for name in NAMES]
        done = self.rpm(*words, "--nodeps", *files)
        assert done.returncode == 0, done.stderr

    def calls(self) -> list[str]:
        """How the programs were called since the last time."""
        found = self.place / "calls"
        lines = found.read_text().splitlines() if found.exists() else []
        found.unlink(missing_ok=True)
        return [line.rpartition(" (")[0] for line in lines]

    def text(self, path: str) -> str:
        return (self.place / path).read_text()

    def files(self) -> set[str]:
        return {str(path.relative_to(self.place)) for path in self.place.rglob("*") if not path.is_dir()}


NAMES = ("paas-isolate", "pam-paas-isolate")


@pytest.fixture
def root(tmp_path: Path, packages: Path) -> Iterator[Root]:
    place = tmp_path / "root"
    place.mkdir()
    yield Root(place, packages)


@pytest.fixture
def installed(root: Root) -> Root:
    root.put("9", "--install")
    root.fake(PROGRAM)
    root.calls()
    return root


@pytest.mark.long
@pytest.mark.parametrize("release", ["9", "10"])
def test_rpmlint_has_nothing_to_say(packages: Path, release: str) -> None:
    files = [RPM / "rpmlint.toml", *packages.glob(f"*.el{release}.*.rpm"), RPM / "paas-isolate.spec"]
    command = ["rpmlint", "--config", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert " 0 errors, 0 warnings" in done.stdout, done.stdout


@pytest.mark.long
@pytest.mark.parametrize(("release", "python"), [("9", "3.11"), ("10", "3.12")])
def test_files_of_a_fresh_installation(root: Root, release: str, python: str) -> None:
    root.put(release, "--install")
    there = root.files()
    site = f"usr/lib/python{python}/site-packages/paas_isolate"
    assert {
        *(PROGRAM, MODULE, "usr/sbin/paas-enter", "usr/sbin/paas-run", f"{site}/cli/main.py"),
        *(f"{site}/linux/bpf/gate/gate.bpf.o", "usr/lib/paas-isolate/click/core.py"),
        *("usr/lib/systemd/system/paas-tree.service", "usr/lib/systemd/system/paas.slice", "etc/cron.d/paas-isolate"),
        *("usr/lib/tmpfiles.d/paas-isolate.conf", f"{ETC}/config.yaml", f"{ETC}/plans.d/small.yaml"),
        *("usr/share/man/man8/paas-isolate.8.gz", "usr/share/bash-completion/completions/paas-isolate"),
        "usr/share/paas-isolate/selinux/paas_isolate.cil",
    } <= there
    drop_in = "usr/lib/systemd/system/paas-tree.service.d/before-254.conf"
    assert (drop_in in there) is (release == "9")
    assert not [path for path in there if path.endswith((".bpf.c", ".pyc")) or path.startswith(("usr/local", "opt"))]
    for path in (f"{ETC}/accounts.d", f"{ETC}/plans.d", "var/lib/paas-isolate"):
        assert (root.place / path).stat().st_mode & 0o777 == 0o700
    for path in ("usr/lib/systemd/system", "etc/cron.d", "usr/bin"):
        assert not [
            file for file in (root.place / path).glob("paas*") if file.is_file() and "/usr/local" in file.read_text()
        ]
    assert root.rpm("--verify", "--nodeps", *NAMES).stdout == ""
    lines = root.text(PROGRAM).splitlines()
    assert lines[0].startswith("#!/usr/bin/python3") and lines[0].endswith(" -IB")
    assert "from paas_isolate.__main__ import main" in lines
    started = root.text(f"usr/lib/python{python}/site-packages/paas_isolate/__main__.py").splitlines()
    assert {'VENDORED = "/usr/lib/paas-isolate"', "sys.path.append(VENDORED)"} <= {*started}, "what EL does not have"


@pytest.mark.long
def test_an_installation_starts_the_tree_and_nothing_else(root: Root) -> None:
    root.put("10", "--install")
    assert root.calls() == [
        "systemd-tmpfiles --create paas-isolate.conf",
        "systemctl daemon-reload",
        "systemctl --quiet enable paas-tree.service",
        "systemctl start paas-tree.service",
    ]


@pytest.mark.long
def test_an_upgrade_restarts_the_daemon_alone_and_keeps_what_was_edited(installed: Root) -> None:
    config, plans = installed.place / ETC / "config.yaml", installed.place / ETC / "plans.d"
    config.write_text("users: {first_uid: 2000}\n")
    (plans / "small.yaml").write_text("limits: {pids: 7}\n")
    (plans / "free.yaml").unlink()
    installed.put("10", "--upgrade")
    assert installed.calls() == [
        "systemd-tmpfiles --create paas-isolate.conf",
        "systemctl daemon-reload",
        "systemctl daemon-reload",
        "systemctl try-restart paas-isolate-daemon.service",
    ]
    assert config.read_text() == "users: {first_uid: 2000}\n"
    assert (plans / "small.yaml").read_text() == "limits: {pids: 7}\n"
    assert not (plans / "free.yaml").exists()


@pytest.mark.long
def test_a_daemon_that_does_not_come_up_is_told_and_stops_no_upgrade(installed: Root) -> None:
    (installed.place / "fails/systemctl try-restart").touch()
    files = [str(file) for file in installed.packages.glob("*.el10.x86_64.rpm")]
    done = installed.rpm("--upgrade", "--nodeps", *files)
    assert done.returncode == 0
    assert "the daemon did not come up; the limits stay" in done.stderr + done.stdout


STACK = "etc/pam.d/system-auth"
LINE = "session [success=2 ignore=3 perm_denied=die default=ignore] pam_paas_isolate.so doors=/run/paas-isolate/doors\n"


def switched_on(root: Root) -> None:
    (root.place / "etc/pam.d").mkdir()
    (root.place / STACK).write_text(LINE)


@pytest.mark.long
def test_the_lines_leave_the_stacks_before_the_module_goes(installed: Root) -> None:
    switched_on(installed)
    done = installed.rpm("--erase", *NAMES)
    assert done.returncode == 0, done.stderr
    assert "paas-isolate pam remove (there)" in installed.text("calls").splitlines()
    assert installed.calls() == ["paas-isolate pam remove", "paas-isolate leave", "systemctl daemon-reload"]


@pytest.mark.long
def test_a_module_that_cannot_leave_the_stacks_stays(installed: Root) -> None:
    switched_on(installed)
    (installed.place / "fails/paas-isolate pam").touch()
    done = installed.rpm("--erase", "pam-paas-isolate")
    assert done.returncode != 0
    assert "pam-paas-isolate is not removed: logins would be refused without it" in done.stderr
    assert (installed.place / MODULE).exists()


@pytest.mark.long
def test_a_program_that_cannot_leave_the_machine_stays(installed: Root) -> None:
    (installed.place / "fails/paas-isolate leave").touch()
    assert installed.rpm("--erase", *NAMES).returncode != 0
    assert {"usr/lib/systemd/system/paas-tree.service", PROGRAM} <= installed.files()
    (installed.place / "fails/paas-isolate leave").unlink()
    assert installed.rpm("--erase", "paas-isolate").returncode == 0


@pytest.mark.long
def test_a_removal_leaves_what_is_the_administrators(installed: Root) -> None:
    before = {"bin", "usr/bin/systemctl", "usr/bin/systemd-tmpfiles", "fails", "calls", "dev/null"}
    (installed.place / ETC / "accounts.d/alice.yaml").write_text("account: alice\n")
    (installed.place / ETC / "config.yaml").write_text("users: {first_uid: 2000}\n")
    (installed.place / "var/lib/paas-isolate/decisions.json").write_text("{}")
    assert installed.rpm("--erase", *NAMES).returncode == 0
    left = {path for path in installed.files() if not path.startswith(("bin/", "var/lib/rpm", "usr/lib/sysimage"))}
    plans = {f"{ETC}/plans.d/{file.name}" for file in (SOURCE / "config/plans.d").glob("*.yaml")}
    assert left - before == {
        *plans,
        f"{ETC}/accounts.d/alice.yaml",
        f"{ETC}/config.yaml.rpmsave",
        "var/lib/paas-isolate/decisions.json",
    }
