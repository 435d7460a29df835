"""Customers with subordinate uids (subuid(5)): what a limit by uid cannot do for them."""

from collections.abc import Iterator
from contextlib import suppress

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.linux.system.subordinates import SUBUID_FILE, subordinate_uids
from paas_isolate.model.account import Fleet

_SHOWN = 5
_MEND = "usermod --del-subuids FIRST-LAST USER; for new users SUB_UID_COUNT 0 in /etc/login.defs"


def examine(fleet: Fleet, path: str = SUBUID_FILE) -> Iterator[Check]:
    """Nothing where neither `network:` nor `disk:` is in use."""
    sells_disk = any(account.disk for account in fleet.accounts.values())
    if not sells_disk and not fleet.host.network:
        return
    users = sorted(_with_subuids(fleet, path))
    if not users:
        yield Check("subordinate uids", Verdict.OK, "no customer has any")
        return
    more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
    found = [f"{', '.join(users[:_SHOWN])}{more} can change to other uids with newuidmap ({path})"]
    if sells_disk:
        found.append("disk: files of a subordinate uid count for no quota, so these customers can fill the disk")
    if fleet.host.network:
        found.append("network: the rules know a subordinate uid from the first reconcile after it was given")
    yield Check(
        "subordinate uids",
        Verdict.WARNING if sells_disk else Verdict.OK,
        "\n".join(found),
        _MEND if sells_disk else "",
    )


def _with_subuids(fleet: Fleet, path: str) -> Iterator[str]:
    users = {name: name for account in fleet.accounts.values() for name in account.uids}
    users |= {str(uid): name for account in fleet.accounts.values() for name, uid in account.uids.items()}
    with suppress(OSError):
        yield from {users[owner] for owner in subordinate_uids(path) if owner in users}
