"""A process in a cgroup that burns CPU time, and says how much it used by its own clock."""

import subprocess
import sys

from paas_isolate.linux.cgroup.tree import CgroupTree

END = 0.03
"""Seconds of CPU time that the end of the process may take, which its own clock does not count."""
_PROGRAM = """
import os, sys, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    pass
print(time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID), flush=True)
os._exit(0)
"""


def begin(cgroups: CgroupTree, path: str, seconds: float) -> subprocess.Popen[str]:
    """Burns for so many seconds by the clock. It enters the cgroup before Python starts, so all of it counts there."""
    with cgroups.directory(path) as directory:
        enter = f'echo 0 >/proc/self/fd/{directory}/cgroup.procs; exec "$@"'
        words = ["sh", "-c", enter, "sh", sys.executable, "-ISc", _PROGRAM, str(seconds)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, pass_fds=[directory])


def used(burner: subprocess.Popen[str]) -> float:
    """Seconds of CPU time (CLOCK_PROCESS_CPUTIME_ID), once it has ended."""
    said, _ = burner.communicate(timeout=120)
    return float(said)
