"""Whatever is full, frozen or read-only: administrators can log in, and customers are never outside the tree."""

from dataclasses import dataclass

import pytest

from tests.support.guest.people import Customer
from tests.support.guest.scene import FIRST, GuestScene
from tests.support.guest.watch import now

pytestmark = [pytest.mark.long, pytest.mark.hostile]


@dataclass(frozen=True)
class Fault:
    """`begin` and `end` are scripts, as in support/guest/ways.py. `customer` is the cgroup that a customer's login
    lands in meanwhile; '' where there is none to be had. `told` is what the customer hears then; a leaf in which
    sshd has no memory ends the connection without a word of ours."""

    name: str
    begin: str
    end: str
    customer: str = ""
    told: str = ""


FAULTS = (
    Fault("nothing is wrong", "true", "true", "users/inn/login"),
    Fault("no reconcile comes", "systemctl stop cron.service", "systemctl start cron.service", "users/inn/login"),
    Fault(
        "the account has no process left",
        'echo 0 >"$TREE/users/$A/pids.max"',
        'echo 1000 >"$TREE/users/$A/pids.max"',
        told="This account has as many processes as it may have.",
    ),
    Fault(
        "the other leaf has no process left",
        'echo 0 >"$TREE/users/$A/other/pids.max"',
        'echo 968 >"$TREE/users/$A/other/pids.max"',
        "users/inn/login",
    ),
    Fault(
        "the leaf has no memory",
        'echo 4096 >"$TREE/users/$A/login/memory.max"',
        'echo max >"$TREE/users/$A/login/memory.max"',
    ),
    Fault(
        "the leaf is frozen",
        'echo 1 >"$TREE/users/$A/cgroup.freeze"',
        'echo 0 >"$TREE/users/$A/cgroup.freeze"',
        told="This account is suspended.",
    ),
    Fault(
        "cgroups are read-only",
        "mount --bind /sys/fs/cgroup /sys/fs/cgroup; mount -o remount,bind,ro /sys/fs/cgroup",
        "umount /sys/fs/cgroup",
        told="Logins are not possible at the moment.",
    ),
    Fault(
        "the doors are gone",
        "mv /run/paas-isolate/doors /run/paas-isolate/doors.away",
        "mv /run/paas-isolate/doors.away /run/paas-isolate/doors",
        "penalty",
    ),
    Fault(
        "200 sessions are open",
        'for _ in $(seq 200); do setsid --fork su $U -c "sleep 600" >/dev/null 2>&1; done; '
        'until [ "$(grep -c . "$TREE/users/$A/login/cgroup.procs")" -ge 400 ]; do sleep 1; done',
        'echo 1 >"$TREE/users/$A/cgroup.kill"',
        "users/inn/login",
    ),
)


def scripted(guest_scene: GuestScene, text: str, user: Customer) -> tuple[int, str]:
    """Exit status and output."""
    output = guest_scene.place / "output"
    with output.open("wb") as said, guest_scene.started(text, user, said.fileno()) as script:
        return script.wait(240), output.read_text(errors="replace")


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name.replace(" ", "-") for fault in FAULTS])
def test_root_and_the_administrators_come_in(guest_scene: GuestScene, fault: Fault) -> None:
    customer = guest_scene.people[FIRST]
    status, output = scripted(guest_scene, fault.begin, customer)
    try:
        assert status == 0, output
        status, output = scripted(guest_scene, "ssh -l $BOSS customer cat /proc/self/cgroup", customer)
        assert (status, "paas-tree" in output) == (0, False), output
        status, output = scripted(
            guest_scene, "ssh -l $BOSS customer \"echo $PASSWORD | sudo -S -p '' id -u\"", customer
        )
        assert (status, output.strip()) == (0, "0"), output
        status, output = scripted(guest_scene, "ssh -l root customer cat /proc/self/cgroup", customer)
        assert (status, "paas-tree" in output) == (0, False), output
        a_customer_is_nowhere_but(guest_scene, fault.customer, customer, fault.told)
    finally:
        ended, said = scripted(guest_scene, fault.end, customer)
        guest_scene.clear()
    assert ended == 0, said
    a_customer_is_nowhere_but(guest_scene, "users/inn/login", customer)


def a_customer_is_nowhere_but(guest_scene: GuestScene, place: str, customer: Customer, told: str = "") -> None:
    begin = now()
    guest_scene.watch.forget()
    status, output = scripted(guest_scene, "ssh -o ConnectTimeout=60 customer true", customer)
    first = {words.cgroup for words in guest_scene.watch.said(customer.uid)}
    assert (status == 0, first) == ((True, {place}) if place else (False, set())), (status, output)
    assert told in output
    ours = [each for each in guest_scene.watch.seen(begin) if customer.uid in each.uids and not each.is_borrowed]
    if not place:  # sshd keeps the connection of whom PAM refuses, for nothing, as a process of its own with this uid
        ours = [each for each in ours if each.name != "sshd-session"]
    assert not [each for each in ours if each.is_outside], ours
