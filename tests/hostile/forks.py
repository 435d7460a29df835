"""Forks without end, each child living for a moment only: whoever kills by a list of pids never sees the last one."""

import os
import time

os.setsid()
while True:
    try:
        if os.fork():
            time.sleep(0.002)
            os._exit(0)
    except OSError:
        time.sleep(0.001)
