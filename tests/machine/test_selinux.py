"""In SELinux's enforcing mode, with Debian's policy and our module: customers come in, their services run, and
nothing that we do is denied."""

import re
from collections.abc import Iterator

import pytest
from testbed.guest import Guest
from testbed.recipe import SELINUX

from tests.machine import ways_in

pytestmark = pytest.mark.long

SHELL = "unconfined_u:unconfined_r:unconfined_t"
LABELS = "restorecon -R -e /run/paas-isolate/views /run/paas-isolate /var/lib/paas-isolate\n"

# The first are of what customers and administrators start, but for at(1), which Debian's policy denies by itself; the
# others are of our own programs.
OURS = re.compile(
    r'paas|comm="(sshd|sshd-session|sftp-server|cron|su|login|sudo)"|nsfs|cgroup_t|bpf_t|initrc_runtime_t'
)


@pytest.fixture(scope="module")
def enforcing() -> Iterator[Guest]:
    guest = Guest.start("selinux", variant=SELINUX)
    try:
        assert guest.run(["getenforce"]).out == "Enforcing\n"
        guest.run(script=ways_in.SCENE + LABELS, check=True, timeout=600)
        yield guest
    finally:
        guest.throw_away()


@pytest.mark.parametrize("account", ways_in.ACCOUNTS)
def test_a_customer_comes_in_by_ssh_and_su(enforcing: Guest, account: str) -> None:
    ways_in.by_ssh_and_su(enforcing, account, SHELL)


def test_a_customer_comes_in_by_cron(enforcing: Guest) -> None:
    ways_in.by_job(enforcing, SHELL, at=False)


def test_a_service_runs(enforcing: Guest) -> None:
    ways_in.by_service(enforcing)


def test_nothing_of_ours_was_denied(enforcing: Guest) -> None:
    denied = enforcing.run(script="(journalctl -b -o cat; cat /var/log/audit/audit.log) | grep 'avc: *denied'").out
    assert [line for line in denied.splitlines() if OURS.search(line)] == []
