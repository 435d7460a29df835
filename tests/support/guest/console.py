"""console.py COMMAND...: runs it on a terminal of its own, as on a console, and says `exit` to the first prompt.

login(1) hangs the terminal up and opens it again, which script(1) takes for the end.
"""

import os
import pty
import sys
import time

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
heard, status = b"", -1
while status == -1:
    try:
        heard += os.read(terminal, 4096)
    except OSError:  # EIO: nobody has it open, for a moment or for good
        ended, how = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(how) if ended else -1
        time.sleep(0.05)
    if b"$ " in heard:
        heard = b""
        os.write(terminal, b"exit\n")
sys.exit(status)
