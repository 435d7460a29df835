"""What several parts read of the kernel and the user database: its version, its counters, a login's name."""

import os
import pwd
from types import SimpleNamespace

import pytest

from paas_isolate.linux.cgroup.counters import flat_keyed
from paas_isolate.linux.process.pidfd import has_ended
from paas_isolate.linux.system import machine, users


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.1.0-25-amd64", (6, 1)),  # Debian 12
        ("6.12.48+deb13-amd64", (6, 12)),  # Debian 13
        ("6.6+", (6, 6)),
        ("5.15.167.4-microsoft-standard-WSL2", (5, 15)),
        ("6.18-rc1", (6, 18)),
        ("mine", (0, 0)),
    ],
)
def test_the_kernels_version(release: str, version: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release))
    assert machine.kernel_version() == version


def test_memory_events_of_linux_6_12() -> None:
    text = "low 0\nhigh 0\nmax 212\noom 3\noom_kill 2\noom_group_kill 0"
    assert flat_keyed(text)["oom_kill"] == 2
    assert flat_keyed(None) == {}


def test_a_login_has_its_name_and_nobodys_uid_is_a_number() -> None:
    unused = next(uid for uid in range(3_000_000, 4_000_000) if uid not in {entry.pw_uid for entry in pwd.getpwall()})
    assert users.login_of(0) == pwd.getpwuid(0).pw_name
    assert users.login_of(unused) == str(unused)


def test_a_process_has_ended_when_it_is_a_zombie() -> None:
    pipe, held = os.pipe()
    child = os.fork()
    if not child:
        os.close(held)
        os.read(pipe, 1)
        os._exit(0)
    pinned = os.pidfd_open(child)
    try:
        assert not has_ended(pinned)
        os.close(held)
        assert has_ended(pinned, within=10)
        assert has_ended(pinned)
    finally:
        os.close(pinned)
        os.close(pipe)
        os.waitpid(child, 0)
