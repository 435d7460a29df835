"""Resolves one account whose file was saved, without the others.

The result is that of `gather` over all files. Where one account alone does not decide it, the result is None, and the
caller gathers everything.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from paas_isolate.model.account import Account, AccountSpec, Fleet, Plan
from paas_isolate.model.machine import Machine
from paas_isolate.spec.claims import Claim, claims
from paas_isolate.spec.guarantees import LIMIT
from paas_isolate.spec.resolve import RefusalError, ResolveContext, Resolver, UserDatabase


class Dependencies(NamedTuple):
    """How accounts depend on each other, by the last `gather`. `complained` are files with complaints, `peered` are
    accounts that others name as peers. `all_tied`: no account can be resolved alone."""

    complained: frozenset[str]
    peered: frozenset[str]
    all_tied: bool

    def with_peers(self, peers: Iterable[str]) -> "Dependencies":
        return self._replace(peered=self.peered.union(peers)) if peers else self


def dependencies(fleet: Fleet) -> Dependencies:
    """The dependencies in a fleet that `gather` made."""
    guaranteed = any(complaint.key == f"limits.{LIMIT}" for complaint in fleet.complaints)
    peered = frozenset(peer for account in fleet.accounts.values() for peer in account.peers)
    unlisted = fleet.host.without_account.startswith("plan ")  # who is in no account depends on all of them
    complained = frozenset(complaint.file for complaint in fleet.complaints)
    return Dependencies(complained, peered, guaranteed or unlisted or bool(fleet.removal_blocked))


def resolve_alone(
    fleet: Fleet,
    tied: Dependencies,
    account: AccountSpec,
    plans: Mapping[str, Plan],
    people: UserDatabase,
    machine: Machine,
    owner_of: Callable[[Claim], str],
) -> Account | None:
    """The account as `gather` would resolve it; None where that depends on other files, or there is a complaint.

    `fleet` is what the last `gather` made, `tied` its dependencies. `plans` needs the account's plan only. `owner_of`
    gives the account that has a uid or a cgroup directory, '' where none has.
    """
    if tied.all_tied or account.renamed_from or account.name in fleet.on_last_good or account.file in tied.complained:
        return None
    before = fleet.accounts.get(account.name)
    if before and (before.directory != account.name or f"plans.d/{before.plan}.yaml" in tied.complained):
        return None
    resolved = _resolved(fleet, account, plans, people, machine)
    if resolved is None or _has_guarantee(resolved) or (before and _has_guarantee(before)):
        return None
    if not all(peer in fleet.accounts for peer in resolved.peers):
        return None
    return resolved if _claims_are_free(fleet, tied, resolved, before, owner_of) else None


def _resolved(
    fleet: Fleet, account: AccountSpec, plans: Mapping[str, Plan], people: UserDatabase, machine: Machine
) -> Account | None:
    context = ResolveContext(
        fleet.host, plans, people, machine, lambda _: None, fleet.exempt, frozenset(), text_of=lambda _: b""
    )
    resolver = Resolver(context)
    try:
        resolved = resolver.resolve(account)
    except RefusalError:
        return None
    return resolved if not resolver.complaints and people.by_name(account.owner) else None


def _has_guarantee(account: Account) -> bool:
    """Whether one can be given depends on those of all accounts."""
    return LIMIT in account.limits


def _claims_are_free(
    fleet: Fleet, tied: Dependencies, account: Account, before: Account | None, owner_of: Callable[[Claim], str]
) -> bool:
    """Whether the account had its claims before, or no account has them. An account on its last good copy may claim
    more in its file than in its copy: then nothing is known to be free."""
    if before is not None and set(claims(account)) == set(claims(before)):
        return True
    if fleet.doubtful or fleet.revoked or fleet.renamed:
        return False
    if fleet.on_last_good or fleet.host.network or (before is None and account.name in tied.peered):
        return False
    return all(owner_of(claim) in ("", account.name) for claim in claims(account))
