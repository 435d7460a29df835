"""Asking sshd for its configuration, as it reads it itself. See sshd(8), -T."""

import os
import shutil
import subprocess

from paas_isolate.errors import HostError

_PLACES = "/usr/sbin:/usr/local/sbin"
_EMPTY = "/run/sshd"  # made with ssh.service, so not there as long as ssh.socket alone listens


def program() -> str:
    """'' where there is no sshd."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:{_PLACES}") or ""


def settings() -> dict[str, str]:
    """Keyword, in small letters, and value. HostError where sshd does not tell: it needs root and /run/sshd."""
    done = subprocess.run([program(), "-T"], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise HostError(f"sshd -T failed: {said}", hint=f"mkdir -p {_EMPTY}" if _EMPTY in said else "")
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
