"""Runs a command, and prints as JSON what it took. A small program: a child's peak memory begins with its parent's.

usage: spend.py COMMAND…
"""

import json
import os
import sys
import time

begin = time.monotonic()
child = os.fork()
if child == 0:
    for out in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), out)
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  (no shell is wanted)
_, status, used = os.wait4(child, 0)
wall = time.monotonic() - begin
print(json.dumps({"wall": wall, "cpu": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss}))
sys.exit(os.waitstatus_to_exitcode(status))
