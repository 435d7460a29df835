"""Builds and starts the attackers of tests/hostile."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.kernel.host import TestHost
from tests.support.paths import HOSTILE
from tests.support.waiting import wait_for


def built(name: str, place: Path) -> Path:
    program = place / name
    command: list[str | Path] = [
        "gcc",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-pthread",
        "-o",
        program,
        HOSTILE / f"{name}.c",
    ]
    subprocess.run(command, check=True)
    program.chmod(0o755)
    return program


@contextmanager
def begun(*words: object, held: bool = False) -> Iterator[subprocess.Popen[str]]:
    """`held`: it ends only when something else does, and is not waited for."""
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.stdout.close()
        if not held:
            process.wait()


@contextmanager
def silent(program: Path, home: Path, uid: int, *how: str, source: str = "/dev/vda") -> Iterator[int]:
    """A file system that never answers, over a home, in a mount namespace of its own: a process that is in it."""
    own = ("unshare", "--mount", "--propagation", "private")
    with begun(*own, program, home, source, uid, *how) as process:
        yield process.pid


def ran(host: TestHost, among: int, *words: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
    """The command, among the mounts of a process; it has to end in so many seconds. What does not is not waited for:
    it may be one that nothing can end."""
    command = ["nsenter", f"--mount=/proc/{among}/ns/mnt", *host.command(*words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def wait_for_state(pid: int, state: str) -> None:
    stat = Path(f"/proc/{pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == state, what=f"process {pid} is in state {state}")


def homes(host: TestHost, place: Path) -> dict[str, Path]:
    """A home for each user of the host, below a directory that only root writes to."""
    found = {}
    lines = []
    for line in (host.place / "passwd").read_text().splitlines():
        name, word, uid, gid, about, home, shell = line.split(":")
        if uid != "0":
            found[name] = place / name
            found[name].mkdir()
            os.chown(found[name], int(uid), int(gid))
            home = str(found[name])
        lines.append(":".join((name, word, uid, gid, about, home, shell)))
    (host.place / "passwd").write_text("\n".join(lines) + "\n")
    return found
