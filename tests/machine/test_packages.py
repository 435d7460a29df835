"""The packages on a machine with accounts at work: installed over themselves, refused to go, removed, purged, installed
anew; and the host is as it was meanwhile."""

import re
from collections.abc import Iterator

import pytest
from testbed import product
from testbed.guest import Guest

from tests.machine.at_work import (
    ALL,
    FAILED,
    INSTALL,
    PATIENCE,
    SEEN,
    TREE,
    WATCH,
    accounts,
    apt,
    installed,
    unnoticed,
)

ACCOUNTS = 5

UPGRADE = f"""
{WATCH}
{INSTALL} {product.PACKAGES}/*.deb >/run/apt 2>&1 || {FAILED}
{SEEN}
systemctl is-active paas-isolate-daemon.service paas-isolate.timer
"""

# The files of the host, as lines of another. A checksum of everything takes minutes in emulation. States are megabytes:
# they are compared in the guest.
STATE = r"""
state() { # FILE
    cd /
    {
        find etc -path etc/paas-isolate -prune -o -type f -print0 | xargs -0 sha256sum
        find usr opt var/lib -xdev \( -path var/lib/dpkg -o -path var/lib/apt -o -path var/lib/systemd \
            -o -path opt/testvenv -o -name __pycache__ \) -prune -o ! -type d -printf '%p %s %m %l\n'
        find etc -type l -printf '%p -> %l\n'
    } | LC_ALL=C sort >"$1"
}
"""
BEFORE = "/run/state-before"
PEOPLE = r"\betc/(passwd|group|shadow|gshadow|subuid|subgid)-?$"
OURS = rf"paas|{PEOPLE}"
KEPT = rf"^\tvar/lib/paas-isolate/ledger/|{PEOPLE}"
LEDGER = "/var/lib/paas-isolate/ledger"
DIFFERENCE = f"""
{STATE}
state /run/state-after
LC_ALL=C comm -3 {BEFORE} /run/state-after
"""


@pytest.fixture(scope="module")
def before(guest: Guest) -> Iterator[None]:
    """The state of the host before logins pass the PAM module is in BEFORE."""
    guest.run(["paas-isolate", "pam", "remove"])
    guest.run(script=f"{STATE}\nstate {BEFORE}", check=True)
    yield
    guest.run(script="rm -f /run/state-*")


@pytest.fixture(scope="module")
def at_work(guest: Guest, before: None) -> Iterator[Guest]:
    with accounts(guest, ACCOUNTS):
        yield guest
    installed(guest)


def test_an_upgrade_ends_no_process_and_no_limit_is_wider(at_work: Guest) -> None:
    said = at_work.run(script=UPGRADE, timeout=PATIENCE, check=True).out
    assert unnoticed(said, logins=5) == ["active", "inactive"], "the timer was stopped before"


def test_it_is_not_removed_while_an_account_is_frozen_or_a_line_by_hand_names_the_module(at_work: Guest) -> None:
    at_work.run(["paas-isolate", "freeze", "at002"], check=True)
    # dpkg alone: apt-get would take ten seconds more in emulation.
    refused = at_work.run(script=f"dpkg --remove {ALL} 2>&1")
    assert (refused.code, "would run again: at002" in refused.out) == (1, True), refused.out
    at_work.run(["paas-isolate", "thaw", "at002"], check=True)
    at_work.run(script="echo 'session optional pam_paas_isolate.so' >/etc/pam.d/by-hand", check=True)
    refused = at_work.run(script=f"dpkg --remove {ALL} 2>&1")
    assert (refused.code, "/etc/pam.d/by-hand names ours" in refused.out) == (1, True), refused.out
    at_work.run(["rm", "/etc/pam.d/by-hand"], check=True)
    still = "paas-isolate pam status >/dev/null && systemctl is-active paas-isolate-daemon.service"
    assert at_work.run(script=still).out == "active\n"


def test_removed_it_lets_everybody_go_on(at_work: Guest) -> None:
    said = apt(at_work, "remove", ALL)
    assert f"{ACCOUNTS} processes of customers are out of the tree" in said
    assert at_work.run(script="pgrep -c -f '^sleep 100000'").out == f"{ACCOUNTS}\n"
    assert (
        at_work.run(script=f"grep -l '^[^#]*pam_paas_isolate' /etc/pam.d/*; ls -d {TREE} /run/paas-isolate").out == ""
    )
    assert at_work.run(script="su -l at001 -c true").code == 0


def test_purged_it_leaves_the_accounts_files_and_the_ledger_and_else_the_host_as_it_was(at_work: Guest) -> None:
    at_work.run(script=f"mkdir -p {LEDGER}; touch {LEDGER}/bill", check=True)
    said = apt(at_work, "purge", ALL)
    assert "rm -r /etc/paas-isolate" in said
    assert "rm -r /var/lib/paas-isolate" in said
    assert at_work.run(script="ls /etc/paas-isolate /var/lib/paas-isolate").out.split() == [
        "/etc/paas-isolate:",
        "accounts.d",
        "/var/lib/paas-isolate:",
        "ledger",
    ]
    # Beside a line of the state afterwards is a tabulator.
    differ = at_work.run(script=DIFFERENCE, check=True).out.splitlines()
    unexpected = {line for line in differ if not re.search(OURS if line[0] != "\t" else KEPT, line)}
    assert unexpected == set()
    at_work.run(script=f"rm {LEDGER}/bill; rmdir --ignore-fail-on-non-empty {LEDGER} /var/lib/paas-isolate", check=True)


def test_installed_anew_it_finds_everybody(at_work: Guest) -> None:
    said = apt(at_work, "install", f"{product.PACKAGES}/*.deb")
    assert "paas-isolate enable timer" in said
    at_work.run(["ls", "/usr/share/doc/paas-isolate/NEWS.Debian.gz"], check=True)
    at_work.run(["paas-isolate", "reconcile", "--wait", "60"], check=True)
    assert at_work.run(script=f"cat {TREE}/users/at*/*/cgroup.procs | wc -l").out == f"{ACCOUNTS}\n"
