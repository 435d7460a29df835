"""A file system that does not answer, like that of a server that is down."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

_SERVE = """
import ctypes, os, select, struct, sys
place, tells, victim = sys.argv[1], int(sys.argv[2]), sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
if libc.mount(b"unanswered", place.encode(), b"fuse", 0, options) < 0:
    raise OSError(ctypes.get_errno(), "mount")
if not (pid := os.fork()):
    os.close(fd)
    exec(victim)
    os._exit(0)
attributes = struct.pack("=6Q10I", 2, 4096, 8, 0, 0, 0, 0, 0, 0, 0o100444, 1, 0, 0, 0, 4096, 0)
answers = {  # linux/fuse.h: LOOKUP, GETATTR, OPEN, INIT
    1: struct.pack("=4QII", 2, 0, 60, 60, 0, 0) + attributes,
    3: struct.pack("=QII", 60, 0, 0) + attributes,
    14: struct.pack("=QII", 0, 0, 0),
    26: struct.pack("=IIIIHHII", 7, 31, 0, 0, 0, 0, 4096, 1).ljust(64, b"\\0"),
}
while 0 not in select.select([0, fd], [], [])[0]:
    _, what, which = struct.unpack_from("=IIQ", os.read(fd, 1 << 17))
    if what == tells:
        print(pid, flush=True)
    if what in answers:  # who asks anything else waits, whatever happens to it (fs/fuse/dev.c)
        os.write(fd, struct.pack("=IiQ", 16 + len(answers[what]), 0, which) + answers[what])
os.close(fd)  # which ends the file system, and whoever waits for it
os.kill(pid, 9)
os.waitpid(pid, 0)
"""
_READS = "os.read(os.open(f'{place}/file', os.O_RDONLY), 4096)"
_READ = 15


@contextmanager
def _serving(tmp: Path, tells: int, victim: str) -> Iterator[int]:
    place = tmp / "unanswered"
    place.mkdir()
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", _SERVE]
    words += [str(place), str(tells), victim]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin
        assert server.stdout
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            server.wait(20)


def stuck(tmp: Path) -> AbstractContextManager[int]:
    """The pid of a process that does not die: it waits for a FUSE file system. At the end it may."""
    return _serving(tmp, _READ, _READS)
