"""paas-enter, and two accounts with doors for it."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from paas_isolate.linux.cgroup.tree import CgroupTree
from tests.support.kernel.pam_session import QUIET

CUSTOMER, OTHER = 65534, 1
"""`nobody` plays the customer, whose account is called so; `daemon` has another."""
TELL = """
import json, os, signal
def status(word):
    return next(line.split()[1:] for line in open("/proc/self/status") if line.startswith(word))
print(json.dumps({
    "uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(), "environment": dict(os.environ),
    "descriptors": sorted(map(int, os.listdir("/proc/self/fd")))[:-1], "directory": os.getcwd(),
    "cgroup": [line[3:].strip() for line in open("/proc/self/cgroup") if line.startswith("0::")][0],
    "no_new_privs": status("NoNewPrivs:"), "capabilities": status("CapPrm:"), "ignored": status("SigIgn:"),
    "blocked": status("SigBlk:"),
}))
"""


class EnterHost:
    """Two accounts with their doors, and the launcher."""

    def __init__(self, doors: Path, launcher: Path, cgroups: CgroupTree) -> None:
        self.doors, self.launcher, self.cgroups = doors, launcher, cgroups
        for account, uid in (("nobody", CUSTOMER), ("daemon", OTHER)):
            for path in ("users", f"users/{account}", f"users/{account}/login", f"users/{account}/web"):
                cgroups.create(path)
            self.lay(uid, f"{cgroups.root}/users/{account}/login")

    def lay(self, uid: int, target: str) -> None:
        door = self.doors / str(uid)
        door.unlink(missing_ok=True)
        door.symlink_to(target)

    def run(self, *words: str, command: Sequence[str] = ("true",), **how: object) -> subprocess.CompletedProcess[str]:
        line = [str(self.launcher), "--doors", str(self.doors), *words, "--", *command]
        how = {"env": QUIET, "cwd": "/", **how}
        return subprocess.run(line, capture_output=True, text=True, timeout=20, **how)  # type: ignore[call-overload, no-any-return]

    def tell(self, *words: str, **how: object) -> dict[str, object]:
        done = self.run(*words, command=("/usr/bin/python3", "-I", "-S", "-c", TELL), **how)
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        return told
