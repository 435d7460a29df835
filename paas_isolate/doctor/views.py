"""Views: host settings that show customers what others do."""

import os
import stat
from collections.abc import Iterator

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.linux.system.users import HostUsers
from paas_isolate.model.account import Account, Fleet

BUS = "/run/dbus"
GROUPS = ("adm", "systemd-journal")
"""Their members can read the journal (systemd-journald.service(8)) and the logs of Debian."""

RECORDS = ("/run/utmp", "/var/log/wtmp", "/var/log/lastlog", "/var/lib/wtmpdb/wtmp.db", "/var/lib/lastlog/lastlog2.db")
SHOWN = 5


def examine(fleet: Fleet) -> Iterator[Check]:
    """Nothing where no account sees less than the host."""
    private = [account for account in fleet.accounts.values() if account.view and account.view.processes]
    if private:
        yield _groups(private, HostUsers())
        yield records()
        yield _bus(private)


def _groups(private: list[Account], people: HostUsers) -> Check:
    members = {group: people.members(group) for group in GROUPS}
    users = [(name, uid) for account in private for name, uid in account.uids.items()]
    found = [(name, group) for name, uid in users for group, uids in members.items() if uid in uids]
    if not found:
        return Check("journal", Verdict.OK, "no customer with a private view can read the logs of others")
    text = ", ".join(f"{name} ({group})" for name, group in found[:SHOWN])
    mend = "; ".join(f"gpasswd --delete {name} {group}" for name, group in found[:SHOWN])
    return Check("journal", Verdict.SKIPPED, f"group membership lets customers read the logs of others: {text}", mend)


def records(paths: tuple[str, ...] = RECORDS) -> Check:
    readable = [path for path in paths if _everybody_reads(path)]
    if not readable:
        return Check("login records", Verdict.OK, "customers cannot read who logged in")
    found = f"everybody can read who logged in: {', '.join(readable)}"
    return Check("login records", Verdict.SKIPPED, found, f"chmod o-r {' '.join(readable)}, and in tmpfiles.d too")


def _everybody_reads(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def _bus(private: list[Account]) -> Check:
    """systemctl(1) tells command lines of all units (GetUnitProcesses), loginctl(1) who is logged in."""
    if all(account.view and BUS in account.view.hide for account in private):
        return Check("system bus", Verdict.OK, "hidden from customers with a view of their own")
    mend = (
        f"let config.yaml hide {BUS} too; or, for those who need the bus: a file in /etc/dbus-1/system.d with <policy "
        'group="GROUP"><deny send_destination="org.freedesktop.systemd1"/><deny send_destination='
        '"org.freedesktop.login1"/></policy> for a group of theirs, then systemctl reload dbus'
    )
    return Check("system bus", Verdict.SKIPPED, "the system bus shows customers the processes of others", mend)
