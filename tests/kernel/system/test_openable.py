"""What customers can open of ours: the sentence of paas-isolate.yaml(5), WHOSE WORD A FILE IS, tried as one of them."""

import os
import subprocess

import pytest

from tests.support.kernel.network_host import NetworkHost
from tests.support.paths import HOSTILE
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]

STRANGER = "48299"
PROGRAM = (HOSTILE / "openable.py").read_text()
ALICE = """account: alice
limits: {memory: {kill: process}}
private: {tmp: true}
services:
  worker: {environment: {DB_PASSWORD: secret}, publish: 8300, limits: {memory: {kill: process}}}
"""


def opened(wired: NetworkHost, *directories: str) -> list[str]:
    """By whom no account names, at the places where a real machine has them."""
    place, stepped = wired.host.place, f"setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups"
    script = f"mount -t tmpfs none /mnt && mkdir /mnt/paas && mount --bind {place} /mnt/paas && cd / && exec {stepped} "
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script + '"$@"', "sh"]
    paths = [f"/mnt/paas/{directory}" for directory in directories]
    done = subprocess.run([*command, "/usr/bin/python3", "-ISc", PROGRAM, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.replace("/mnt/paas/", "") for line in done.stdout.splitlines()]


def test_customers_open_what_the_manual_says_and_nothing_else(wired: NetworkHost) -> None:
    host = wired.host
    for name in ("accounts.d", "plans.d"):  # as scripts/install makes them
        (host.etc / name).chmod(0o700)
    (host.place / "state").chmod(0o700)
    umask = os.umask(0o022)
    try:
        put = subprocess.run(host.command("account", "put", "alice"), input=ALICE, capture_output=True, text=True)
        assert put.returncode == 0, put.stderr
        (host.etc / "plans.d/p.yaml").write_text("plan: p\n")
        wired.run("reconcile")
        with subprocess.Popen(wired.command(*host.command("daemon", "--interval", "1000"))) as daemon:
            try:
                wait_for(lambda: (host.place / "run/control.sock").exists(), what="the daemon listens")
                found = opened(wired, "etc", "run", "state")
            finally:
                daemon.terminate()
                daemon.wait(20)
        assert found == ["list etc", "read etc/config.yaml", "list run", "connect run/control.sock"]
        assert ((host.etc / "accounts.d/alice.yaml").stat().st_mode & 0o777) == 0o600
        # and by themselves, for a reseller's panel may have opened the directory
        for directory in (host.etc / "accounts.d", host.place / "state", host.place / "state/last-good"):
            directory.chmod(0o755)
        (host.place / "state/last-good/accounts").chmod(0o755)
        assert not [
            line for line in opened(wired, "etc/accounts.d", "state") if line == "read etc/accounts.d/alice.yaml"
        ]
        assert not [line for line in opened(wired, "etc", "state") if "read state" in line]
    finally:
        os.umask(umask)
