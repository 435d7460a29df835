"""Accounts that no specification names any more: which may be removed, which wait, and when to ask first."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.changes.quotas import accounts_with_quota
from paas_isolate.model import tree
from paas_isolate.model.account import Fleet
from paas_isolate.model.world import ObservedWorld
from paas_isolate.text import abbreviated

MASS_SHARE = 0.05
MASS_NUMBER = 3
"""If more accounts than this number and this share of all disappear at once, it looks like an accident."""


class Removals(NamedTuple):
    """`accepted` are the directories of accounts that may be removed, now or when their processes have ended. `waiting`
    says, by directory, why an account is still there. `blocked` is why this pass accepts no removals, '' when it does.
    """

    accepted: frozenset[str] = frozenset()
    waiting: Mapping[str, str] = MappingProxyType({})
    blocked: str = ""


def removals(fleet: Fleet, observed: ObservedWorld, *, known: Collection[str] = (), meant: bool = False) -> Removals:
    """Which accounts to remove. `known` are directories that an earlier pass has accepted; `meant`: an administrator
    has confirmed the removal."""
    # After a boot an account has no cgroup yet, but its quota is still set.
    existing = tree.directories(observed.cgroups) | accounts_with_quota(observed.quotas)
    expected = {account.directory for account in fleet.accounts.values()}
    gone = existing.difference(expected, fleet.on_last_good)
    new = gone - set(known)
    blocked = "" if meant or not new else fleet.removal_blocked or _suspicious(len(new), len(existing))
    accepted = frozenset(gone - new if blocked else gone)
    waiting = dict.fromkeys(sorted(new), blocked) if blocked else {}
    for directory, pids in sorted(_alive(observed, accepted).items()):
        waiting[directory] = f"waits until its processes have ended: {abbreviated([str(pid) for pid in sorted(pids)])}"
    return Removals(accepted, waiting, blocked)


def _suspicious(new: int, there: int) -> str:
    if new <= MASS_NUMBER or new <= there * MASS_SHARE:
        return ""
    return f"{new} of {there} accounts would be removed at once; confirm with: paas-isolate reconcile --remove"


def _alive(observed: ObservedWorld, directories: Collection[str]) -> dict[str, list[int]]:
    alive: dict[str, list[int]] = {}
    for path, pids in observed.members.items():
        if (directory := tree.directory_of(path)) in directories:
            alive.setdefault(directory, []).extend(pids)
    return alive
