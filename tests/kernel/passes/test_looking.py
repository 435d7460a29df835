"""Commands that only look write nothing: not on a machine that has never been reconciled, and not later."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernel.network_host import NetworkHost

pytestmark = pytest.mark.kernel

LOOKING = (
    ("check",),
    ("diff",),
    ("diff", "--json"),
    ("status",),
    ("status", "alice"),
    ("coverage",),
    ("doctor",),
    ("net", "show"),
    ("pam", "status"),
    ("schema",),
    ("version",),
)

CALLS = (
    "openat,open,creat,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "chmod,fchmod,fchmodat,chown,fchown,fchownat,lchown,truncate,ftruncate,mknod,mknodat,mount,umount2,setxattr,"
    "fsetxattr,utimensat"
)
KILL = "limits: {memory: {kill: process}}\n"
HARMLESS = re.compile(r'"/dev/(null|tty)"|"/proc/self/|<pipe:|<anon_inode:')
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")


def writes(trace: str) -> Iterator[str]:
    """The calls that change a file, a directory or a mount, and succeeded or would have with other rights."""
    for line in trace.splitlines():
        call = re.match(r"\d+ +(\w+)\(", line)
        if call is None or HARMLESS.search(line):
            continue
        if not call[1].startswith("open") or WRITES.search(line):
            yield line


def looked(wired: NetworkHost, words: tuple[str, ...], place: Path) -> tuple[int, list[str]]:
    trace = place / "trace"
    strace = ["strace", "-f", "-qq", "-y", "-o", str(trace), "-e", f"trace={CALLS}"]
    command = wired.host.command(*words)
    at = command.index("paas_isolate") - 2  # before the interpreter: what makes the mount namespace is the test's
    done = subprocess.run(
        wired.command(*command[:at], "env", "PYTHONDONTWRITEBYTECODE=1", *strace, *command[at:]),
        capture_output=True,
        text=True,
    )
    return done.returncode, list(writes(trace.read_text()))


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_it_writes_nothing_before_the_first_pass_nor_after(
    wired: NetworkHost,
    words: tuple[str, ...],
    tmp_path: Path,
) -> None:
    config = wired.host.etc / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace(f"root: {wired.host.cgroups.root}", f"root: {wired.host.cgroups.root}/made"))
    status, written = looked(wired, words, tmp_path)
    assert not written
    assert status != 2
    assert not Path(wired.host.cgroups.root, "made").exists()
    config.write_text(text)
    wired.host.account("alice", KILL + "private: {tmp: true}\n")
    assert wired.run("reconcile").returncode in (0, 3)
    wired.host.account("alice", KILL)  # with something to do
    wired.inside("nft", "delete", "table", "inet", "paas_isolate")
    status, written = looked(wired, words, tmp_path)
    assert not written
    assert status != 2


def test_what_writes_is_seen_to_write(wired: NetworkHost, tmp_path: Path) -> None:
    assert looked(wired, ("reconcile",), tmp_path)[1]
