"""What customers can open of ours: the sentence of paas-isolate.yaml(5), TRUST IN FILES, tried as one of them."""

import os
import subprocess
from pathlib import Path

import pytest
from test_wired import Wired, wired
from workplace import until

pytestmark = [pytest.mark.kernel, pytest.mark.hostile]
__all__ = ["wired"]

STRANGER = "48299"
PROGRAM = (Path(__file__).parents[1] / "hostile" / "openable.py").read_text()
ALICE = """account: alice
limits: {memory: {kill: process}}
private: {tmp: true}
services:
  worker: {environment: {DB_PASSWORD: secret}, publish: 8300, limits: {memory: {kill: process}}}
"""


def opened(wired: Wired, *directories: str) -> list[str]:
    """By whom no account names, at the places where a real machine has them."""
    place, stepped = wired.shop.place, f"setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups"
    script = f"mount -t tmpfs none /mnt && mkdir /mnt/paas && mount --bind {place} /mnt/paas && cd / && exec {stepped} "
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script + '"$@"', "sh"]
    paths = [f"/mnt/paas/{directory}" for directory in directories]
    done = subprocess.run([*command, "/usr/bin/python3", "-ISc", PROGRAM, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [line.replace("/mnt/paas/", "") for line in done.stdout.splitlines()]


def test_customers_open_what_the_manual_says_and_nothing_else(wired: Wired) -> None:
    shop = wired.shop
    for name in ("accounts.d", "plans.d"):  # as scripts/install makes them
        (shop.etc / name).chmod(0o700)
    (shop.place / "state").chmod(0o700)
    umask = os.umask(0o022)
    try:
        put = subprocess.run(shop.command("account", "put", "alice"), input=ALICE, capture_output=True, text=True)
        assert put.returncode == 0, put.stderr
        (shop.etc / "plans.d/p.yaml").write_text("plan: p\n")
        wired.run("reconcile")
        with subprocess.Popen(wired.command(*shop.command("daemon", "--interval", "1000"))) as daemon:
            try:
                until(lambda: (shop.place / "run/control.sock").exists(), "the daemon listens")
                found = opened(wired, "etc", "run", "state")
            finally:
                daemon.terminate()
                daemon.wait(20)
        assert found == ["list etc", "read etc/config.yaml", "list run", "connect run/control.sock"]
        assert ((shop.etc / "accounts.d/alice.yaml").stat().st_mode & 0o777) == 0o600
        # and by themselves, for a reseller's panel may have opened the directory
        for directory in (shop.etc / "accounts.d", shop.place / "state", shop.place / "state/last-good"):
            directory.chmod(0o755)
        (shop.place / "state/last-good/accounts").chmod(0o755)
        assert not [
            line for line in opened(wired, "etc/accounts.d", "state") if line == "read etc/accounts.d/alice.yaml"
        ]
        assert not [line for line in opened(wired, "etc", "state") if "read state" in line]
    finally:
        os.umask(umask)
