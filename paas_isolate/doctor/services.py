"""Services that paas-isolate runs: whether they can start, and how soon one that ends is restarted."""

from collections.abc import Iterator

from paas_isolate.doctor.check import Check, Verdict
from paas_isolate.errors import HostError
from paas_isolate.linux.services.launch import launcher
from paas_isolate.linux.system import systemd
from paas_isolate.model.account import Fleet

DAEMON = "paas-isolate-daemon.service"


def examine(fleet: Fleet) -> Iterator[Check]:
    """Nothing where no service has a command."""
    number = sum(bool(service.work.run) for account in fleet.accounts.values() for service in account.services)
    if not number:
        return
    try:
        launcher()
    except HostError as error:
        yield Check("services", Verdict.FAILED, f"none of {number} can start: {error}", error.hint)
        return
    if systemd.running() and systemd.properties(DAEMON, "ActiveState").get("ActiveState") == "active":
        yield Check("services", Verdict.OK, f"{number}, restarted by the daemon when they end")
    else:
        found = f"{number}; one that ends is restarted by the next reconcile"
        yield Check("services", Verdict.OK, found, f"to restart at once: systemctl enable --now {DAEMON}")
