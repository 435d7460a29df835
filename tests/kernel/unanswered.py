"""A file system that does not answer, as that of a server that is down, or of a customer who does not want to."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SERVE = """
import ctypes, os, struct, sys
place, libc = sys.argv[1], ctypes.CDLL(None, use_errno=True)
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
if libc.mount(b"unanswered", place.encode(), b"fuse", 0, options) < 0:
    raise OSError(ctypes.get_errno(), "mount")
asked = os.read(fd, 1 << 17)
init = struct.pack("=IIIIHHII", 7, 31, 0, 0, 0, 0, 4096, 1).ljust(64, b"\\0")
os.write(fd, struct.pack("=IiQ", 16 + len(init), 0, *struct.unpack_from("=Q", asked, 8)) + init)
if not (pid := os.fork()):
    os.close(fd)
    os.stat(f"{place}/file")
os.read(fd, 1 << 17)  # from here on it waits for the answer, whatever happens to it (fs/fuse/dev.c)
print(pid, flush=True)
sys.stdin.read()
os.close(fd)  # which ends the file system, and whoever waits for it
os.waitpid(pid, 0)
"""


@contextmanager
def stuck(tmp: Path) -> Iterator[int]:
    """The pid of a process that does not die: it waits for a FUSE file system. At the end it may."""
    place = tmp / "unanswered"
    place.mkdir()
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", _SERVE, str(place)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            server.wait(20)
