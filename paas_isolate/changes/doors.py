"""Which leaf a login enters: the doors that should be there, and the steps to them.

A door's name is a uid, or `uid.service` where an account's `entry:` sends logins through that PAM service elsewhere.
It leads to a leaf, or is closed: then it says whose it is, and logins are refused (see pam/module/door.c).
`uid:view` says whose view the uid's logins enter.
"""

import re
from collections.abc import Collection, Iterator, Mapping

from paas_isolate.model import tree
from paas_isolate.model.account import LOGIN, Account, Fleet
from paas_isolate.model.steps import Step
from paas_isolate.model.steps.door import CompleteDoors, RemoveDoor, SetDoor
from paas_isolate.model.view import DOOR as VIEW_DOOR
from paas_isolate.model.world import COMPLETE, Doors

_UID = re.compile(r"[0-9]+")


def desired_doors(fleet: Fleet, held: Collection[str]) -> dict[str, str]:
    """`held` as in `as_sold`: nobody logs in where nothing may run."""
    doors = {COMPLETE: ""}
    for account in fleet.accounts.values():
        leads = dict(_of(account, held))
        for uid in account.uids.values():
            if not fleet.governs(uid):
                continue
            if uid in fleet.doubtful:
                doors[f"{uid}"] = tree.closed(account.directory)
            else:
                doors.update({f"{uid}{service}": target for service, target in leads.items()})
    return doors


def _of(account: Account, held: Collection[str]) -> Iterator[tuple[str, str]]:
    """What follows the uid in the name of a door, and where it leads."""
    if account.suspended or account.directory in held:
        yield "", tree.closed(account.directory)
        return
    if account.view:
        yield VIEW_DOOR, tree.view(account.directory)
    for suffix, leaf in (("", LOGIN), *((f".{pam}", each.name) for each in account.services for pam in each.entry)):
        frozen = held and f"{account.directory}/{leaf}" in held
        yield suffix, tree.closed(account.directory) if frozen else tree.leaf(account.directory, leaf)


def door_steps(desired: Doors, observed: Doors) -> list[Step]:
    """What makes the doors as they should be; that all are there is said only when it is so."""
    wanted = [(name, target) for name, target in desired.items() if name != COMPLETE and observed.get(name) != target]
    steps: list[Step] = [SetDoor(name, target, observed.get(name)) for name, target in wanted]
    steps += [RemoveDoor(name, target) for name, target in observed.items() if name not in desired]
    if not steps and COMPLETE in desired and COMPLETE not in observed:
        return [CompleteDoors()]
    return steps


def preserved_doors(fleet: Fleet, observed: Mapping[str, str], staying: Collection[str]) -> dict[str, str]:
    """The doors of accounts of which nothing is known but that they stay. None leads whoever has the uid in another
    account now into theirs, nor, while that is not known to be the same person, anybody."""
    there = {name: target for name, target in observed.items() if tree.account_of_door(target) in staying}
    if not there:
        return {}
    accounts = fleet.accounts.values()
    known = {account.directory for account in accounts}
    theirs = {uid for account in accounts for uid in account.uids.values()}
    left = {name: target for name, target in there.items() if tree.account_of_door(target) not in known}
    doors: dict[str, str] = {}
    for name, target in left.items():
        uid = _uid_of(name)
        if uid in fleet.doubtful:
            doors[str(uid)] = tree.closed(tree.account_of_door(target))
        elif uid not in theirs:
            doors[name] = target
    return doors


def _uid_of(door: str) -> int:
    """-1 where the name is that of no door."""
    found = _UID.match(door)
    return int(found[0]) if found else -1
