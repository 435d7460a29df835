"""Real PAM transactions with the module, in service files of a test's own (pam_start_confdir(3))."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.pam_sources import EXPORTS, MODULE

HARNESS = Path(__file__).with_name("session.c")
STRICT = ("-std=gnu17", "-g", "-Wall", "-Wextra", "-Werror")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
QUIET = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # libpam itself keeps what it loaded
ENTERS, REFUSED = 0, 6
"""Answers of PAM: PAM_SUCCESS, PAM_PERM_DENIED."""


class Session(NamedTuple):
    """How a session began: PAM's answer, the words for the user, and the cgroup that it is in ('' outside)."""

    answer: int
    said: str
    cgroup: str


class Built(NamedTuple):
    """The module and a program that opens one session with it."""

    module: Path
    session: Path

    def command(self, confdir: Path, service: str, user: str, *options: str) -> list[str]:
        """Opens a session of `user`, as the service would with our line and one that lets everybody in."""
        line = f"session [success=done ignore=ignore default=die] {self.module} {' '.join(options)}"
        (confdir / service).write_text(f"{line}\nsession required pam_permit.so\n")
        return [str(self.session), str(confdir), service, user]


def build(place: Path, *flags: str) -> Built:
    """Compiled with these flags; with SANITIZERS, what reads or writes where it must not ends the session's process."""
    built = Built(place / "pam_paas_isolate.so", place / "session")
    common = ["gcc", *STRICT, *flags]
    shared = ("-shared", "-fPIC", "-fvisibility=hidden", f"-Wl,--version-script={EXPORTS}")
    subprocess.run([*common, *shared, "-o", built.module, *MODULE, "-lpam"], check=True)
    subprocess.run([*common, "-o", built.session, HARNESS, "-lpam"], check=True)
    return built


def opened(command: Sequence[str], cgroups: CgroupTree) -> Session:
    done = subprocess.run(command, capture_output=True, text=True, env=QUIET, timeout=20)
    assert done.returncode == 0, done.stderr
    return told(done.stdout, cgroups)


def told(printed: str, cgroups: CgroupTree) -> Session:
    """What session.c prints."""
    answer, said, cgroup = printed.splitlines()
    path = cgroups.path_of(cgroup)
    return Session(int(answer), said, "" if path.startswith("/") else path)
