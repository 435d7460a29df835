"""Resolves all accounts together, and finds mistakes that show only between files."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from paas_isolate.model.account import Account, AccountSpec, Fleet, Host, NetworkConfig, Plan
from paas_isolate.model.machine import Machine
from paas_isolate.spec import next_plan
from paas_isolate.spec.allow import as_permitted
from paas_isolate.spec.claims import Claims, Clashes, LastGood, is_address, port_of
from paas_isolate.spec.conflicts import place_conflicts
from paas_isolate.spec.guarantees import LIMIT, overbooked, without_guarantee
from paas_isolate.spec.holders import Holders, State
from paas_isolate.spec.names import is_name
from paas_isolate.spec.resolve import CONFIG, RefusalError, ResolveContext, Resolver, UserDatabase, user_key
from paas_isolate.text import excerpt


class UnusableFiles(NamedTuple):
    """Plans and accounts whose files could not be used, with the reason. Their complaints are the caller's."""

    plans: Mapping[str, str] = MappingProxyType({})
    accounts: Mapping[str, str] = MappingProxyType({})


NOTHING_WRONG = UnusableFiles()


def gather(
    host: Host,
    plans: Mapping[str, Plan],
    accounts: Mapping[str, AccountSpec],
    people: UserDatabase,
    machine: Machine,
    last_good: LastGood,
    *,
    wrong: UnusableFiles = NOTHING_WRONG,
    text_of: Callable[[str], bytes] = lambda _: b"",
    remembered: Collection[str] = (),
) -> Fleet:
    """The fleet: each account by its file, or by its last good copy where its file cannot be used.

    `last_good` gives an account's copy as it is on disk; None where there is none. `text_of` gives a file's bytes
    again, for the line of a mistake that shows only between files. `remembered` are all accounts that have a copy,
    with a file or without. Mistakes are in `Fleet.complaints`; nothing is raised for them.
    """
    exempt = frozenset(_uids(host.exempt, people))
    copies = cache(last_good)
    holders = Holders(people, accounts, copies, wrong.accounts)
    permitted = _permitted(copies, host, plans, machine, wrong)
    last_good = _as_allowed(permitted, host, people, exempt, holders)
    context = ResolveContext(
        host, plans, people, machine, last_good, exempt, frozenset(wrong.plans), text_of, holders.of
    )
    resolver = Resolver(context)
    _check_host(resolver)
    for file, text in next_plan.mistakes(plans, wrong.plans):
        resolver.complain(file, "next", text)
    good, refused = _resolve(resolver, accounts.values())
    others = (copy for name in {*refused, *wrong.accounts} if (copy := last_good(name)))
    refused |= _warn_overbooked(resolver, accounts, good, others)
    claims = Claims(good, last_good)
    refused |= _report_clashes(resolver, accounts, claims.clashes(), "belongs to")
    refused |= dict(wrong.accounts)
    pushed = claims.fall_back(refused)
    refused |= _report_clashes(resolver, accounts, pushed, "is in the last good copy of")
    if host.without_account.startswith("plan "):
        refused |= _resolve_unlisted_users(resolver, claims, refused)
    on_last_good = resolver.unresolved | {name: _reason(name, why, claims) for name, why in refused.items()}
    _warn_peers(resolver, accounts, claims.good | claims.on_last_good)
    for name in claims.unrecoverable:
        if name in accounts and (old := accounts[name].renamed_from) and old not in claims.good:
            on_last_good.setdefault(old, f"it is now {name}, which cannot be used")
    frontends = frozenset(_frontends(resolver))
    resolved = dict(sorted((claims.good | claims.on_last_good).items()))
    administrators = frozenset(_administrators(resolver, resolved))
    kept = {name: copy for name in on_last_good if name in resolved and (copy := copies(name))}
    _warn_on_last_good(resolver, wrong.accounts, kept, holders)
    without_file = set(remembered).difference(resolved, on_last_good)
    identities = _identities(kept, _gone(without_file, copies, resolved), people, holders)
    return Fleet(
        host=host,
        accounts=resolved,
        exempt=exempt,
        complaints=tuple(resolver.complaints.values()),
        on_last_good=on_last_good,
        frontends=frontends,
        administrators=administrators,
        renamed=identities.renamed,
        doubtful=identities.doubtful,
        revoked={directory: frozenset(uids) for directory, uids in identities.revoked.items()},
    )


class _Identities(NamedTuple):
    """The fields of the same names in Fleet."""

    renamed: Mapping[str, str]
    doubtful: frozenset[int]
    revoked: Mapping[str, set[int]]


def _gone(names: Iterable[str], copies: LastGood, account: Mapping[str, Account]) -> dict[str, Account]:
    """The copies of accounts that have no file any more, for their cgroups may still exist. Accounts that have the same
    cgroup under a new name are left out."""
    found = {name: copy for name in names if (copy := copies(name))}
    directories = {each.directory for each in account.values()} if found else set()
    return {name: copy for name, copy in found.items() if copy.directory not in directories}


def _identities(
    kept: Mapping[str, Account], gone: Mapping[str, Account], people: UserDatabase, holders: Holders
) -> _Identities:
    """What became of the uids of accounts without a usable file: `kept` are on their copies, `gone` have no file.
    The processes of a `gone` account move where the same person has another account now, for the user and the account
    may have been renamed at once."""
    renamed: dict[str, str] = {}
    doubtful: set[int] = set()
    revoked: dict[str, set[int]] = {}
    for name, copy in (*kept.items(), *gone.items()):
        for user, uid in copy.uids.items():
            now = people.by_name(user)
            holder = None if now and now.uid == uid else holders.of(name, user)
            if holder is None:
                continue
            if holder.state is State.RENAMED and now is None:
                renamed[user] = holder.name
            elif holder.state is State.DOUBTFUL and (now is None or name in gone):
                doubtful.add(uid)
            elif holder.state is State.TAKEN and (name in kept or holders.home_differs(name, uid)):
                revoked.setdefault(copy.directory, set()).add(uid)
    return _Identities(renamed, frozenset(doubtful), revoked)


def _warn_on_last_good(
    resolver: Resolver, wrong: Mapping[str, str], kept: Mapping[str, Account], holders: Holders
) -> None:
    """Warns of users whose names are gone, of accounts in `wrong`: such users are known from the copies alone."""
    for name, copy in kept.items():
        for user in copy.uids if name in wrong else ():
            if resolver.context.people.by_name(user) is None and (holder := holders.of(name, user)):
                text = holder.text(user, tuple(copy.uids), copy.owner)
                resolver.complain(f"accounts.d/{name}.yaml", "users", text, warning=True)


def _warn_peers(resolver: Resolver, accounts: Mapping[str, AccountSpec], resolved: Mapping[str, Account]) -> None:
    """An unknown peer is no error: its account may come later, or have been removed."""
    for account in accounts.values():
        for index, peer in enumerate(account.peers):
            if peer not in resolved:
                text = f"is {excerpt(peer)}, and there is no such account"
                resolver.complain(account.file, f"peers[{index}]", text, warning=True)


def _frontends(resolver: Resolver) -> Iterator[int]:
    network = resolver.context.host.network
    for name in network.frontends if network else ():
        if user := resolver.context.people.by_name(name):
            yield user.uid
        elif network and network.frontends != NetworkConfig().frontends:  # the default user need not exist
            text = f"names {name}, who is no user of this machine"
            resolver.complain(CONFIG, "network.frontends", text, warning=True)


def _uids(names: Iterable[str], people: UserDatabase) -> Iterator[int]:
    """The uids of users and @groups that exist."""
    for name in names:
        if name.startswith("@"):
            yield from people.members(name[1:])
        elif user := people.by_name(name):
            yield user.uid


def _as_allowed(
    last_good: LastGood, host: Host, people: UserDatabase, exempt: frozenset[int], holders: Holders
) -> LastGood:
    """Last good copies with the uids of today: without users that are exempt or out of range by now, with the new uid
    of a user who was removed and made again, and without a uid that another account claims."""

    @cache
    def copy(name: str) -> Account | None:
        if (account := last_good(name)) is None:
            return None
        now = {user: uid for user in account.uids if (uid := _uid_now(name, user, people, holders)) is not None}
        allowed = {
            user: uid for user, uid in now.items() if host.first_uid <= uid <= host.last_uid and uid not in exempt
        }
        if account.addresses and (lost := account.uids.get(account.owner)) is not None and account.owner not in now:
            account = _without_address_of(account, lost, host)
        return account._replace(uids=allowed)

    return copy


def _permitted(
    last_good: LastGood, host: Host, plans: Mapping[str, Plan], machine: Machine, wrong: UnusableFiles
) -> LastGood:
    """Last good copies without what an account's file may not ask for today, or the copy would keep it for ever. While
    the plan cannot be read the copy stays as it is, for nobody knows which part of it came from the plan."""

    def copy(name: str) -> Account | None:
        account = last_good(name)
        if account is None or account.plan in wrong.plans:
            return account
        return as_permitted(account, host, plans.get(account.plan or ""), machine)

    return copy


def _uid_now(account: str, user: str, people: UserDatabase, holders: Holders) -> int | None:
    """The uid of a user; that in the copy where the name is gone, unless another account claims it."""
    if entry := people.by_name(user):
        return entry.uid
    holder = holders.of(account, user)
    return None if holder is None or holder.state is State.TAKEN else holder.uid


def _without_address_of(account: Account, uid: int, host: Host) -> Account:
    """Without addresses where one of them is computed from `uid`: the account that has the uid now has that address."""
    from paas_isolate.spec.addresses import AddressAllocator  # not imported without `network:`

    try:
        of_uid = AddressAllocator(host, host.network or NetworkConfig()).addresses((), uid)
    except ValueError:
        return account
    return account if set(of_uid).isdisjoint(account.addresses) else account._replace(addresses=())


def _check_host(resolver: Resolver) -> None:
    host, machine = resolver.context.host, resolver.context.machine
    for key in ("penalty", "ceiling"):
        for conflict in place_conflicts(key, getattr(host, key), machine, machine.memory):
            resolver.complain(CONFIG, conflict.keys[0], conflict.text, warning=conflict.warning)
    for key, names in (("users.exempt", host.exempt), ("administrators", host.administrators)):
        for name in names:
            if not name.startswith("@") and not resolver.context.people.by_name(name):
                resolver.complain(CONFIG, key, f"names {name}, who is no user of this machine", warning=True)


def _administrators(resolver: Resolver, accounts: Mapping[str, Account]) -> Iterator[int]:
    """Without the users of accounts: a program of theirs, such as a web site, would be an administrator."""
    host, people = resolver.context.host, resolver.context.people
    if not host.administrators:
        return
    customers = {uid: name for name, account in accounts.items() for uid in account.uids.values()}
    for uid in sorted(set(_uids(host.administrators, people))):
        if (name := customers.get(uid)) is None:
            yield uid
            continue
        text = f"names uid {uid} of the account {name}, who is no administrator: every program of theirs would be one"
        resolver.complain(CONFIG, "administrators", text, warning=True)


def _resolve(resolver: Resolver, accounts: Iterable[AccountSpec]) -> tuple[dict[str, Account], dict[str, str]]:
    """The accounts that are good, and the reasons why the others are refused."""
    good, refused = {}, {}
    for account in accounts:
        try:
            good[account.name] = resolver.resolve(account)
        except RefusalError as refusal:
            refused[account.name] = str(refusal)
    return good, refused


def _warn_overbooked(
    resolver: Resolver, accounts: Mapping[str, AccountSpec], good: dict[str, Account], others: Iterable[Account]
) -> dict[str, str]:
    """Complains of guarantees that do not fit. An account with a copy is taken out of `good`, with the reason; one
    without a copy stays there without its guarantee."""
    context, reasons = resolver.context, {}
    for name, text in list(overbooked(good, others, context.host, context.machine, context.last_good)):
        plan, copy = context.plans.get(good[name].plan or ""), context.last_good(name)
        file = accounts[name].file if LIMIT in accounts[name].limits or plan is None else plan.file
        problem = f"{text}; expected less{'' if file == accounts[name].file else f' for {name}'}"
        resolver.complain(file, f"limits.{LIMIT}", problem if copy else f"{problem} (it gets no guarantee)")
        if copy:
            reasons[name] = f"limits.{LIMIT} {problem}"
            del good[name]
        else:
            good[name] = without_guarantee(good[name])
    return reasons


def _report_clashes(
    resolver: Resolver, accounts: Mapping[str, AccountSpec], clashes: Clashes, belongs: str
) -> dict[str, str]:
    """Complains of each clash in the account's file, naming the other file. Returns the reasons. A clash of two names
    of one uid is reported in one of the two files."""
    reasons: dict[str, str] = {}
    for name, (claim, other) in clashes.items():
        aliases = False
        rival = accounts[other].file if other in accounts else f"accounts.d/{other}.yaml"
        if isinstance(claim, str) and (port := port_of(claim)):
            key = _publisher(accounts[name], port)
            text = f"is {port}, which {belongs} {rival}; a port of the machine leads to one account"
        elif isinstance(claim, str) and is_address(claim):
            key = "address" if accounts[name].address else "owner"
            text = f"has the address {claim}, which {belongs} {rival}; give one of them another `address:`"
        elif isinstance(claim, str):
            key = "renamed_from" if accounts[name].renamed_from else "account"
            text = f"leads to the cgroup {claim}, which {belongs} {rival}; each has its own"
        else:
            key, user = _user_of(resolver, accounts[name], claim)
            alias = _user_of(resolver, accounts[other], claim)[1] if other in accounts else user
            text = f"is '{user}' (uid {claim}), who {belongs} {rival}; a user is in one account at most"
            if alias != user:
                text = f"is '{user}', another name of '{alias}' (uid {claim}), who {belongs} {rival}; name both in one"
            aliases = alias != user
        reported = aliases and other in reasons and clashes.get(other) == (claim, name)  # in the other file
        if not reported:
            resolver.complain(accounts[name].file, key, text)
        reasons[name] = f"{key} {text.partition('; ')[0] if aliases else text}"
    return reasons


def _publisher(account: AccountSpec, port: int) -> str:
    """The key path by which an account publishes a port: in its own file, or `plan`."""
    return next((f"services.{service.name}.publish" for service in account.services if service.publish == port), "plan")


def _user_of(resolver: Resolver, account: AccountSpec, uid: int) -> tuple[str, str]:
    """The key path and the user name by which an account has a uid."""
    for index, name in enumerate(account.users):
        user = resolver.context.people.by_name(name)
        if user and user.uid == uid:
            return user_key(account, index), name
    return "users", account.owner


def _resolve_unlisted_users(resolver: Resolver, claims: Claims, taken: Mapping[str, str]) -> dict[str, str]:
    """Adds an account for every user of the range that is in no account (`without_account: plan NAME`). Returns the
    reasons of those that are refused."""
    context, unlisted = resolver.context, {}
    plan = context.host.without_account.removeprefix("plan ")
    named = resolver.named | {claim for claim in claims.owners if isinstance(claim, int)}
    for user in context.people.everyone():
        in_range = context.host.first_uid <= user.uid <= context.host.last_uid
        if not in_range or user.uid in context.exempt or user.uid in named or user.name in taken:
            continue
        named.add(user.uid)
        free = (
            is_name(user.name)
            and user.name not in claims.owners
            and user.name not in claims.good
            and user.name not in claims.on_last_good | claims.on_last_good
        )
        name = user.name if free else f"uid-{user.uid}"
        unlisted[name] = AccountSpec(name, CONFIG, (user.name,), user.name, plan)
    good, refused = _resolve(resolver, unlisted.values())
    refused |= _warn_overbooked(resolver, unlisted, good, (claims.good | claims.on_last_good).values())
    claims.good |= good
    claims.fall_back(refused)
    return refused


def _reason(name: str, refusal: str, claims: Claims) -> str:
    return f"{refusal}; {claims.unrecoverable[name]}" if name in claims.unrecoverable else refusal
