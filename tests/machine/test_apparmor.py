"""With AppArmor on, and Debian's profiles loaded and enforced: customers come in, their services run, and nothing that
we do is denied."""

import re
from collections.abc import Iterator

import pytest
from testbed.guest import Guest

from tests.machine import ways_in
from tests.machine.mirrored import install

pytestmark = pytest.mark.long

PACKAGES = ("apparmor", "apparmor-profiles", "apparmor-utils")
# Those of apparmor-profiles complain where nobody says otherwise.
ON = """
aa-enforce /etc/apparmor.d/* || true
systemctl restart apparmor.service
journalctl --rotate --vacuum-time=1s --quiet
"""
DENIED = re.compile(r'apparmor="DENIED".*')


@pytest.fixture(scope="module")
def confined() -> Iterator[Guest]:
    guest = Guest.start("apparmor")
    try:
        install(guest, "apparmor", *PACKAGES)
        guest.run(script=f"set -eu{ON}{ways_in.SCENE}", check=True, timeout=1200)
        yield guest
    finally:
        guest.throw_away()


def test_profiles_are_enforced(confined: Guest) -> None:
    said = confined.run(["aa-status"], check=True).out
    assert int(re.findall(r"^(\d+) profiles are in enforce mode", said, re.M)[0]) > 20, said


@pytest.mark.parametrize("account", ways_in.ACCOUNTS)
def test_a_customer_comes_in_by_ssh_and_su(confined: Guest, account: str) -> None:
    ways_in.by_ssh_and_su(confined, account, "unconfined")


def test_a_customer_comes_in_by_cron_and_at(confined: Guest) -> None:
    ways_in.by_job(confined, "unconfined")


def test_a_service_runs(confined: Guest) -> None:
    ways_in.by_service(confined)


def test_nothing_was_denied(confined: Guest) -> None:
    assert DENIED.findall(confined.run(["journalctl", "--boot", "--output", "cat"], check=True).out) == []
