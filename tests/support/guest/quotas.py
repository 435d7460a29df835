"""File systems with and without quotas, on devices of their own, made for a test."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.guest.machine import run
from tests.support.guest.people import Customer, ends

MAKE = {"ext4": ("mkfs.ext4", "-q", "-O", "quota"), "xfs": ("mkfs.xfs", "-q")}
SIZE = {"ext4": 64 << 20, "xfs": 320 << 20}
"""Bytes, of which a sparse file takes few: mkfs.xfs(8) makes none below 300 MB."""


@contextmanager
def file_system(place: Path, kind: str = "ext4", *, options: str = "usrquota") -> Iterator[Path]:
    """Where it is mounted; anybody may write there. Skips where the machine cannot make such."""
    if not shutil.which(MAKE[kind][0]):
        pytest.skip(f"no {MAKE[kind][0]} here (xfsprogs)")
    image, home = place / "image", place / "home"
    image.write_bytes(b"")
    os.truncate(image, SIZE[kind])
    run(*MAKE[kind][: 2 if options == "defaults" else None], str(image))
    home.mkdir()
    for path in (place, *list(place.parents)[:2]):
        path.chmod(0o755)
    mount(home, options)
    try:
        home.chmod(0o777)
        yield home
    finally:
        subprocess.run(["umount", "-l", str(home)])


def mount(home: Path, options: str = "usrquota") -> None:
    """What `file_system` has made, again: on whatever loop device is free."""
    run("mount", "-o", f"loop,{options}", str(home.parent / "image"), str(home))


def writes(customer: Customer, place: Path, megabytes: int, name: str = "file") -> int:
    """The exit status."""
    drop = ("setpriv", "--reuid", str(customer.uid), "--regid", str(customer.gid), "--clear-groups")
    line = (*drop, "dd", "if=/dev/zero", f"of={place}/{name}", "bs=1M", f"count={megabytes}")
    return subprocess.run(line, capture_output=True).returncode


@contextmanager
def living_at(place: Path, *customers: Customer) -> Iterator[None]:
    """Their homes are there meanwhile. Their programs end with that: usermod(8) refuses users with processes."""
    for customer in customers:
        run("usermod", "--home", str(place), customer.name)
    try:
        yield
    finally:
        ends([customer.uid for customer in customers])
        for customer in customers:
            run("usermod", "--home", str(customer.home), customer.name)
