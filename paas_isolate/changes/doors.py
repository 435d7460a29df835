"""Doors: which leaf a login enters. The desired doors, and the steps to them.

The name of a door is a uid, or `uid.service` where an account's `entry:` gives logins through that PAM service another
leaf. Its target is a leaf, or `closed/DIRECTORY`: then logins are refused (pam/module/door.c). The door `uid:view`
names the account whose view logins of the uid enter.
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


def desired_doors(fleet: Fleet, frozen: Collection[str]) -> dict[str, str]:
    """Name -> target of every door, and the mark COMPLETE. `frozen` as in Intent: doors to what is frozen are
    closed."""
    doors = {COMPLETE: ""}
    for account in fleet.accounts.values():
        targets = dict(_targets(account, frozen))
        for uid in account.uids.values():
            if not fleet.governs(uid):
                continue
            if uid in fleet.doubtful:
                doors[f"{uid}"] = tree.closed(account.directory)
            else:
                doors.update({f"{uid}{suffix}": target for suffix, target in targets.items()})
    return doors


def _targets(account: Account, frozen: Collection[str]) -> Iterator[tuple[str, str]]:
    """For each door of a uid: what follows the uid in its name, and its target."""
    if account.suspended or account.directory in frozen:
        yield "", tree.closed(account.directory)
        return
    if account.view:
        yield VIEW_DOOR, tree.view(account.directory)
    for suffix, leaf in (("", LOGIN), *((f".{pam}", each.name) for each in account.services for pam in each.entry)):
        is_frozen = frozen and f"{account.directory}/{leaf}" in frozen
        yield suffix, tree.closed(account.directory) if is_frozen else tree.leaf(account.directory, leaf)


def door_steps(desired: Doors, observed: Doors) -> list[Step]:
    """The steps to the desired doors. COMPLETE is set only where no door differs any more."""
    wrong = [(name, target) for name, target in desired.items() if name != COMPLETE and observed.get(name) != target]
    steps: list[Step] = [SetDoor(name, target, observed.get(name)) for name, target in wrong]
    steps += [RemoveDoor(name, target) for name, target in observed.items() if name not in desired]
    if not steps and COMPLETE in desired and COMPLETE not in observed:
        return [CompleteDoors()]
    return steps


def preserved_doors(fleet: Fleet, observed: Mapping[str, str], staying: Collection[str]) -> dict[str, str]:
    """The doors of the accounts in `staying`, which have no specification. A door is left out where another account has
    the uid now, and closed where the uid may belong to another person now."""
    staying_doors = {name: target for name, target in observed.items() if tree.account_of_door(target) in staying}
    if not staying_doors:
        return {}
    accounts = fleet.accounts.values()
    known = {account.directory for account in accounts}
    uids = {uid for account in accounts for uid in account.uids.values()}
    unknown = {name: target for name, target in staying_doors.items() if tree.account_of_door(target) not in known}
    doors: dict[str, str] = {}
    for name, target in unknown.items():
        uid = uid_of(name)
        if uid in fleet.doubtful:
            doors[str(uid)] = tree.closed(tree.account_of_door(target))
        elif uid not in uids:
            doors[name] = target
    return doors


def uid_of(door: str) -> int:
    """-1 where the name does not begin with a uid."""
    uid = _UID.match(door)
    return int(uid[0]) if uid else -1
