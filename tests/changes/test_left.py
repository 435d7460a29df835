"""Which cgroups are left to root, and which globs are refused."""

import pytest

from paas_isolate.changes.placement import Placement
from paas_isolate.model.account import Host
from paas_isolate.model.left import LEAVE, checked, compiled
from paas_isolate.model.world import Process
from tests.support.fleets import fleet, sold

LEFT = [
    "/machine.slice/libpod-0a1b.scope",
    "/machine.slice/libpod-0a1b.scope/container/init.scope",
    "/machine.slice/systemd-nspawn@web.service/payload",
    "/system.slice/docker-0a1b.scope",
    "/system.slice/docker-0a1b.scope/init.scope",
    "/docker/0a1b",
    "/kubepods.slice/kubepods-burstable.slice/kubepods-pod1.slice/cri-containerd-0a1b.scope",
    "/lxc.payload.web/system.slice/ssh.service",
]
MOVED = [
    "/",
    "/system.slice/cron.service",
    "/system.slice/php8.2-fpm.service",
    "/system.slice/docker.service",
    "/system.slice/alice.service/docker-0a1b.scope",
    "/user.slice/user-1001.slice/session-3.scope",
    "/user.slice/user-1001.slice/user@1001.service/user.slice/libpod-0a1b.scope",
    "/user.slice/user-1001.slice/user@1001.service/app.slice/docker-0a1b.scope",
    "/user.slice/user-1001.slice/user@1001.service/machine.slice/libpod-0a1b.scope",
]


def test_what_root_makes_is_left_and_what_a_customer_may_make_is_not() -> None:
    pattern = compiled(LEAVE)
    assert pattern
    assert [path for path in LEFT + MOVED if pattern.fullmatch(path)] == LEFT


def test_the_default_is_what_may_be_written() -> None:
    assert [checked(glob) for glob in LEAVE] == [*LEAVE]
    assert checked("system.slice/mysql-alice.service")


@pytest.mark.parametrize(
    "glob",
    [
        *("user.slice", "user.slice/**", "u*", "**", "*", "*.slice/**", "**/docker-*.scope", "?ser.slice/x"),
        *("system.slice", "system.slice/**", "system.slice/*", "system.slice/*.service", "system.slice/cron.service"),
        *("system.slice/**/docker-*.scope", "system.slice/*/docker-*.scope", "s*/docker.scope", "system.slice/php*"),
        *("init.scope", "paas.slice/**", "/machine.slice/**", "machine.slice/", "a//b", "../x", "a/../b", "a b", "***"),
        *("", "x" * 1001, "a[b]"),
    ],
)
def test_what_is_too_wide_or_no_cgroup_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match=r"cgroup below the mount point|is never left"):
        checked(glob)


def test_no_process_of_it_is_moved_and_others_are() -> None:
    alice = sold("alice")
    for leave, moved in ((LEAVE, MOVED), ((), LEFT + MOVED)):
        places = Placement(fleet(alice, host=Host(leave=leave)))
        processes = [Process(n, alice.uids["alice"], path, 1) for n, path in enumerate(LEFT + MOVED)]
        assert [process.cgroup for process in processes if places.correction(process)] == moved
