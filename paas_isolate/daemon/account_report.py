"""The report of an account for its customer. Nothing in it is about other accounts or for root alone."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from paas_isolate.changes.bandwidth import rates_sold
from paas_isolate.changes.knob_compiler import leaves
from paas_isolate.compare import Reconciler
from paas_isolate.control.request import Reply
from paas_isolate.daemon.account_pass import restricted_to, runs_of
from paas_isolate.daemon.control import Request
from paas_isolate.daemon.counter_poll import counters
from paas_isolate.daemon.limit_events import LimitEvents
from paas_isolate.linux.quota.devices import counted_device
from paas_isolate.model import tree
from paas_isolate.model.account import Account, Fleet
from paas_isolate.service_state import conditions
from paas_isolate.usage import disk_uses, lines


class AccountReport(NamedTuple):
    """`cgroups` are CgroupStatus and `hits` are LimitEvent, as JSON has them; `watched` is the time since which hits
    are counted, in seconds since the epoch, 0 where they are not."""

    account: str
    plan: str | None = None
    addresses: tuple[str, ...] = ()
    cgroups: Sequence[Mapping[str, Any]] = ()
    watched: int = 0
    hits: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()


Opened = Callable[[Fleet], AbstractContextManager[Reconciler]]


def me(asked: Request, opened: Opened, hits: LimitEvents) -> Reply:
    """The account as the kernel has it now, beside its limits."""
    fleet, account = asked.account
    with opened(restricted_to(fleet, account)) as reconciler:
        names = [leaf.name for leaf in leaves(reconciler.intent.fleet.accounts[account.name].services)]
        found = conditions(
            reconciler.kernel,
            reconciler.intent,
            runs_of(reconciler, [tree.leaf(account.directory, name) for name in names]),
        )
        statuses = lines(
            reconciler.kernel.cgroups,
            account.directory,
            names,
            device=counted_device(account.home, reconciler.kernel.device_of),
            state=_state(fleet, account),
            conditions=found,
        )
        cgroups = [status.data() for status in statuses]
        hits.take(account.directory, counters(reconciler.kernel.cgroups, account), int(time.time()))
    since, lately = hits.of(account.directory)
    recent = [hit._asdict() for hit in lately]
    notes = *_notes(fleet, account), *_of_services(cgroups), *disk_uses(account), *rates_sold(account)
    return AccountReport(account.name, account.plan, account.addresses, cgroups, since, recent, notes)._asdict()


def _of_services(cgroups: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for line in cgroups:
        if (service := line["service"]) and service["detail"]:
            again = f"; paas-isolate me start {line['name'].partition('.')[0]} tries again"
            yield f"{line['name']} is {service['state']}: {service['detail']}{again if service['given_up'] else ''}"


def _state(fleet: Fleet, account: Account) -> str:
    if account.name in fleet.on_last_good:
        return "kept"
    return "suspended" if account.suspended else ""


def _notes(fleet: Fleet, account: Account) -> Iterator[str]:
    """Where the account's file is wrong. The complaint itself is left out: it may name files of others."""
    if account.name in fleet.broken:
        yield "an error of paas-isolate's own: it stays as it is; tell your provider"
    elif account.name in fleet.on_last_good:
        yield "its file cannot be used: it keeps what it had when the file was last right"
    keys = {
        complaint.key: complaint.line
        for complaint in fleet.complaints
        if not complaint.warning and complaint.file == f"accounts.d/{account.name}.yaml"
    }
    for key, line in keys.items():
        yield f"your provider's file on you is wrong in line {line}{f' ({key})' if key else ''}: tell them"
    for keys_without_effect in fleet._replace(accounts={account.name: account}).not_enforced().values():
        yield f"not enforced by this version: {', '.join(keys_without_effect)}"
