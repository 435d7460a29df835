"""What all login tests of a run share: programs, the module as it is installed, keys and a password."""

import secrets
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from checking import tool_env

from tests.support.kernel.pam_session import HARNESS, STRICT
from tests.support.paths import PAM

PROGRAMS = {"ssh": "openssh-client", "make": "make", "perl": "perl-base", "unshare": "util-linux", "mount": "mount"}
MODERN = "PerSourcePenalties no"
"""OpenSSH 9.8 and later send away who fails too often: here all come from one address, and many are to fail."""


class Person(NamedTuple):
    name: str
    uid: int


_FIRST = 200_000 + secrets.randbelow(100_000) * 10
ROOT = Person("root", 0)
ADMIN = Person("admin", _FIRST)
OPERATOR = Person("operator1", _FIRST + 1)
ALICE = Person("alice", _FIRST + 2)
BOB = Person("bob", _FIRST + 3)
PEOPLE = (ROOT, ADMIN, OPERATOR, ALICE, BOB)
CUSTOMERS = (ALICE, BOB)
"""Uids that are drawn, so that runs beside each other do not look at each other's processes."""

UIDS = range(_FIRST, _FIRST + 10)
"""Those of customers, and of administrators who are exempt: `admin` by a group, `operator1` by name."""


class PamBuild(NamedTuple):
    """`place` has host_key, key and password; `module` is sealed."""

    place: Path
    module: Path
    session: Path
    sshd: tool_env.Daemon
    hash: str
    modern: bool


def make(place: Path) -> PamBuild:
    tool_env.have(PROGRAMS)
    sshd = tool_env.daemon("sshd", "openssh-server")
    pam = shutil.copytree(PAM, place / "pam")
    subprocess.run(["make", "--silent", "-C", pam, "clean", "all"], check=True)
    session = place / "session"
    subprocess.run(["gcc", *STRICT, "-o", session, HARNESS, "-lpam"], check=True)
    for key in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", place / key], check=True)
    password = secrets.token_hex(16)
    (place / "password").write_text(password)
    (place / "password").chmod(0o600)
    crypt = ["perl", "-e", "print crypt(<STDIN>, q($5$rounds=1000$paas))"]
    done = subprocess.run(crypt, input=password, capture_output=True, text=True, check=True)
    asked = [sshd.program, "-T", "-f", "/dev/null", "-h", f"{place}/host_key", "-o", MODERN.replace(" ", "=")]
    modern = subprocess.run(asked, env=sshd.environment, capture_output=True).returncode == 0
    return PamBuild(place, pam / "pam_paas_isolate.so", session, sshd, done.stdout, modern)
