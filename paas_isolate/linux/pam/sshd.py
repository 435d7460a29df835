"""The configuration of sshd, as sshd itself reads it. See sshd(8), -T."""

import os
import shutil
import subprocess

from paas_isolate.errors import HostError

_PLACES = "/usr/sbin:/usr/local/sbin"
_EMPTY = "/run/sshd"  # made by ssh.service, so it is missing while only ssh.socket listens


def program() -> str:
    """The path of sshd; '' when there is none."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:{_PLACES}") or ""


def settings() -> dict[str, str]:
    """The value of each keyword, which is in lower case. HostError when sshd fails: it needs root and /run/sshd."""
    done = subprocess.run([program(), "-T"], capture_output=True, text=True, check=False)
    if done.returncode:
        error = " ".join(done.stderr.split())
        raise HostError(f"sshd -T failed: {error}", hint=f"mkdir -p {_EMPTY}" if _EMPTY in error else "")
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
