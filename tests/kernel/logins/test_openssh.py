"""OpenSSH's own regression tests, as a customer: they end as they do without our lines in the stack. Takes minutes."""

import shutil
import subprocess
from pathlib import Path

import pytest
from checking import tool_env

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.login_host import LoginHost
from tests.support.kernel.pam_build import ALICE, PamBuild

pytestmark = [pytest.mark.kernel, pytest.mark.long]

SETUP = Path(__file__).with_name("openssh.sh")
HELPERS = "/usr/lib/openssh"
SUDO = """
#include <unistd.h>
int main(int count, char **words) { return count > 1 && !setgid(0) && !setuid(0) ? execvp(words[1], words + 1) : 127; }
"""
TESTS = (
    *("connect", "proxy-connect", "connect-privsep", "connect-uri", "exit-status", "exit-status-signal", "envpass"),
    *("transfer", "banner", "stderr-data", "stderr-after-eof", "broken-pipe", "yes-head", "login-timeout"),
    *(
        "key-options",
        "scp",
        "scp3",
        "scp-uri",
        "sftp",
        "sftp-chroot",
        "sftp-cmds",
        "sftp-batch",
        "sftp-perm",
        "sftp-uri",
    ),
    *("reconfigure", "dynamic-forward", "forwarding", "multiplex", "reexec", "localcommand", "forcecommand"),
    *("keys-command", "principals-command", "forward-control", "multipubkey", "hostkey-rotate", "allow-deny-users"),
    *("authinfo", "channel-timeout", "connection-timeout", "hostbased", "agent", "cfgmatch", "servcfginclude"),
)
"""Those that open sessions: the others try keys, ciphers and parsers, and never come to PAM."""


def ended(
    place: Path, pam_build: PamBuild, cgroups: CgroupTree, lines: tuple[str, ...] | None = None
) -> dict[str, int]:
    """The exit status of each test; `lines` stand in the place of ours."""
    place.mkdir()
    shutil.copytree(HELPERS, place / "helpers")
    (place / "sudo.c").write_text(SUDO)
    subprocess.run(["gcc", "-o", place / "sudo", place / "sudo.c"], check=True)
    tests = tool_env.unpacked("openssh-tests") / "usr/lib/openssh/regress"
    (place / "host").mkdir()
    with LoginHost(place / "host", pam_build, cgroups, lines=lines) as login_host:
        paths = (
            str(tests),
            str(place / "helpers"),
            pam_build.sshd.program,
            pam_build.sshd.unpacked,
            str(place / "sudo"),
        )
        done = login_host.inside("sh", str(SETUP), *paths, ALICE.name, *TESTS, patience=3000)
    return {name: int(status) for name, status in map(str.split, done.stdout.splitlines())}


def test_openssh_behaves_as_without_us(tmp_path: Path, pam_build: PamBuild, cgroups: CgroupTree) -> None:
    without = ended(tmp_path / "without", pam_build, cgroups, lines=())
    assert sum(status == 0 for status in without.values()) > len(TESTS) // 2, without
    assert ended(tmp_path / "with", pam_build, cgroups) == without
