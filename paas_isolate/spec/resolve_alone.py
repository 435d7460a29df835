"""One account whose file has been saved, sold beside all the others: where nobody else is concerned, and only there.

What it answers is what `gather` would make of all files. Wherever that cannot be told from one account, it says so, and
everything is to be gathered.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from paas_isolate.model.account import Account, AccountSpec, Fleet, Plan
from paas_isolate.model.machine import Machine
from paas_isolate.spec.claims import Claim, claims
from paas_isolate.spec.guarantees import LIMIT
from paas_isolate.spec.resolve import RefusalError, ResolveContext, Resolver, UserDatabase


class Dependencies(NamedTuple):
    """What ties accounts together, as a whole gather left it. `complained` are files that something was said about,
    `peered` the accounts that others name as peers; `all_tied`: nobody can be judged alone."""

    complained: frozenset[str]
    peered: frozenset[str]
    all_tied: bool

    def with_peers(self, peers: Iterable[str]) -> "Dependencies":
        return self._replace(peered=self.peered.union(peers)) if peers else self


def dependencies(fleet: Fleet) -> Dependencies:
    guaranteed = any(complaint.key == f"limits.{LIMIT}" for complaint in fleet.complaints)
    peered = frozenset(peer for account in fleet.accounts.values() for peer in account.peers)
    rest_is_sold = fleet.host.without_account.startswith("plan ")
    complained = frozenset(it.file for it in fleet.complaints)
    return Dependencies(complained, peered, guaranteed or rest_is_sold or bool(fleet.removal_blocked))


def resolve_alone(
    fleet: Fleet,
    tied: Dependencies,
    account: AccountSpec,
    plans: Mapping[str, Plan],
    people: UserDatabase,
    machine: Machine,
    owner_of: Callable[[Claim], str],
) -> Account | None:
    """What the account gets now; None where that does not stand on its file alone, or anything is to be said about it.

    `fleet` is everything that has been sold, with the file as it was before; `plans` needs to hold its own plan only;
    `owner_of` tells whose a uid or a cgroup's directory is, '' where nobody's.
    """
    if tied.all_tied or account.renamed_from or account.name in fleet.on_last_good or account.file in tied.complained:
        return None
    before = fleet.accounts.get(account.name)
    if before and (before.directory != account.name or f"plans.d/{before.plan}.yaml" in tied.complained):
        return None
    sold = _sold(fleet, account, plans, people, machine)
    if sold is None or not _same_guarantee(sold, before) or not all(peer in fleet.accounts for peer in sold.peers):
        return None
    return sold if _free(fleet, tied, sold, before, owner_of) else None


def _sold(
    fleet: Fleet, account: AccountSpec, plans: Mapping[str, Plan], people: UserDatabase, machine: Machine
) -> Account | None:
    context = ResolveContext(
        fleet.host, plans, people, machine, lambda _: None, fleet.exempt, frozenset(), text_of=lambda _: b""
    )
    resolver = Resolver(context)
    try:
        sold = resolver.resolve(account)
    except RefusalError:
        return None
    return sold if not resolver.complaints and people.by_name(account.owner) else None


def _same_guarantee(account: Account, before: Account | None) -> bool:
    """Guarantees are weighed together."""
    return LIMIT not in account.limits and (before is None or LIMIT not in before.limits)


def _free(
    fleet: Fleet, tied: Dependencies, account: Account, before: Account | None, owner_of: Callable[[Claim], str]
) -> bool:
    """Whether what it claims was its own before, or is nobody's. Who is kept may want other things than it has."""
    if before is not None and set(claims(account)) == set(claims(before)):
        return True
    if fleet.doubtful or fleet.revoked or fleet.renamed:
        return False
    if fleet.on_last_good or fleet.host.network or (before is None and account.name in tied.peered):
        return False
    return all(owner_of(claim) in ("", account.name) for claim in claims(account))
