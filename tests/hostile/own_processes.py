"""A customer looks for processes of their own that are not where theirs are, and for what those hold."""

import contextlib
import os
import sys

mine = sys.argv[1]
for pid in filter(str.isdigit, os.listdir("/proc")):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cgroup") as file:
        outside = not any(mine in line for line in file)
        if outside and os.stat(f"/proc/{pid}").st_uid == os.getuid() and int(pid) != os.getpid():
            for fd in os.listdir(f"/proc/{pid}/fd"):
                sys.stdout.write(f"{pid} {fd} {os.readlink(f'/proc/{pid}/fd/{fd}')}\n")
