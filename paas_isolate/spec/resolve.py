"""Resolves one account: merges it with its plan and looks up its users, or says why that cannot be done."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from paas_isolate.errors import Complaint
from paas_isolate.model.account import ANYWHERE, Account, AccountSpec, Host, NetworkConfig, Plan, Service, User
from paas_isolate.model.limits import Limits
from paas_isolate.model.machine import Machine
from paas_isolate.spec.allow import USERS, asks_more, rights, too_many, users_refused
from paas_isolate.spec.claims import LastGood
from paas_isolate.spec.conflicts import Conflict, conflicts
from paas_isolate.spec.holders import Holder, State
from paas_isolate.spec.merge import (
    expand_placeholders,
    has_placeholders,
    merge_limits,
    merge_services,
    merge_view,
)
from paas_isolate.spec.names import MOST
from paas_isolate.spec.service_conflicts import work_conflicts
from paas_isolate.text import excerpt

CONFIG = "config.yaml"
"""The host's file, as complaints name it."""

_OWN = AccountSpec._fields.index("labels") + 1
_NOTHING = AccountSpec("", "", (), "")[_OWN:]
"""The fields behind `labels`, of an account whose file has no other keys. Of 10,000 files most are like that."""
_PLAN, _LABELS = Account._fields.index("plan"), Account._fields.index("labels")


class UserDatabase(Protocol):
    """The users of the machine."""

    def by_name(self, name: str) -> User | None: ...

    def names_of(self, uid: int) -> frozenset[str]: ...

    def members(self, group: str) -> frozenset[int]: ...

    def everyone(self) -> Iterable[User]: ...


class ResolveContext(NamedTuple):
    """What all accounts are resolved with. `exempt` are uids that are never confined. `wrong_plans` are plans whose
    files could not be used. `text_of` gives a file's bytes again, for the line of a mistake that only merging shows.
    """

    host: Host
    plans: Mapping[str, Plan]
    people: UserDatabase
    machine: Machine
    last_good: LastGood
    exempt: frozenset[int]
    wrong_plans: frozenset[str]
    text_of: Callable[[str], bytes]
    holder: Callable[[str, str], Holder | None] = lambda *_: None
    """Of an account and one of its users: who has the uid now that the user had. None where no copy has the user."""


class _Merged(NamedTuple):
    limits: Limits
    services: tuple[Service, ...]
    personal: bool
    """Whether the services have placeholders, so that accounts cannot share them."""
    refused: str
    """Why it cannot be used; '' where it can."""


class RefusalError(Exception):
    """The reason why an account cannot be resolved. Never leaves this package."""


class Resolver:
    """Resolves account after account and collects the complaints. Each complaint is kept once: a mistake in a plan
    shows in every account that has it."""

    def __init__(self, context: ResolveContext) -> None:
        self.context = context
        self.complaints: dict[tuple[str, str, str], Complaint] = {}
        self.unresolved: dict[str, str] = {}
        """Accounts with a user who cannot be looked up now and keeps the uid of the last good copy; with the reason."""
        self.named: set[int] = set()
        """The uids of all users in accounts, resolved or refused."""
        self._plain: dict[str | None, _Merged] = {}
        self._bare: dict[str | None, tuple[Any, ...]] = {}
        """By plan: the fields of Account from `plan` to `labels`, of an account whose file has no keys of _NOTHING."""
        self._addresses_of: Callable[[tuple[str, ...], int], tuple[str, ...]] | None = None
        self._number: Counter[tuple[str, bool]] = Counter()
        self._open: tuple[str, Any] = "", None
        """The file that was read again last, and its nodes: mistakes come file by file."""

    def resolve(self, account: AccountSpec) -> Account:
        """Raises RefusalError where the account cannot be used; the complaints about it are in `complaints` then."""
        uids = self._uids(account)
        name = account.plan or self.context.host.default_plan
        bare = account[_OWN:] == _NOTHING and account.owner in uids and account.users == (account.name,)
        if bare and (known := self._bare.get(name)):
            own = account.name, account.name, uids, account.owner, self._home(account)
            return Account._make((*own, *known, account.labels))
        plan = self._plan(account, name) if name else None
        account = self._permitted(account, plan)
        merged = self._merge(account, plan)
        if merged.refused:
            raise RefusalError(merged.refused)
        if text := too_many(account.services):
            self.complain(account.file, "services", text)
            raise RefusalError(f"services {text}")
        services = merged.services
        if merged.personal:
            services = expand_placeholders(services, account.name, account.owner)
        host = self.context.host
        directory = self._directory(account) if account.renamed_from else account.name
        view = merge_view(host, plan, account, directory) if _has_view(plan, account) else None
        disk = merge_limits(plan.disk if plan else {}, account.disk)
        if account.owner not in uids:
            self._warn_exempt_owner(account, uids, services, has_view=view is not None, has_disk=bool(disk))
        resolved = Account(
            name=account.name,
            directory=directory,
            uids=uids,
            owner=account.owner,
            home=self._home(account),
            plan=name,
            limits=merged.limits,
            services=services,
            suspended=account.suspended,
            addresses=self._addresses(account, uids, host.network) if host.network else (),
            peers=account.peers,
            loopback=_loopback(plan, account),
            egress=_egress(plan, account),
            view=view,
            disk=disk,
            mail=account.mail,
            on_high=account.on_high,
            labels=account.labels,
        )
        if bare and not merged.personal and view is None and not host.network:
            self._bare[name] = resolved[_PLAN:_LABELS]
        return resolved

    def _permitted(self, account: AccountSpec, plan: Plan | None) -> AccountSpec:
        """The account without what its file may not ask for; complains of each value that is left out. A user
        is not left out, for nothing would confine them: then it raises RefusalError.
        """
        others = account.users != (account.name,) and account.file != CONFIG
        if not (others or account.hide or asks_more(account.services)):
            return account
        limits = merge_limits(plan.limits if plan else {}, account.limits)
        permitted = rights(self.context.host, plan, limits, self.context.machine)
        if others and USERS not in permitted.allow:
            strangers = [i for i, user in enumerate(account.users) if user != account.name]
            for index in strangers:
                text = users_refused(account.name, account.users[index])
                self.complain(account.file, user_key(account, index), text)
            if strangers:
                raise RefusalError("its file names users that it may not")
        services, wrong_services = permitted.services(account.services)
        hide, wrong_paths = permitted.paths(account.hide)
        for refused in (*wrong_services, *wrong_paths):
            self.complain(account.file, refused.key, f"{refused.text} (it is left out)")
        return account._replace(services=services, hide=hide)

    def complain(self, file: str, key: str, text: str, *, at: str = "", warning: bool = False) -> None:
        """Adds a complaint. `at` is the key path whose place it gets, if not `key`. Warnings get no place."""
        if (file, key, text) in self.complaints:
            return
        self._number[file, warning] += 1
        if self._number[file, warning] > MOST:
            text, key = "has more of these; mend the others first", ""
            self.complaints.setdefault((file, key, text), Complaint(file, text, warning=warning))
            return
        # a warning may stay for ever, and must not make every run parse YAML
        place = (0, 0) if warning else self._place(file, at or key)
        self.complaints[file, key, text] = Complaint(file, text, *place, key, warning)

    def _place(self, file: str, key: str) -> tuple[int, int]:
        from paas_isolate.spec.read import locate, read_again  # imported for a mistake alone

        if self._open[0] != file:
            self._open = file, read_again(self.context.text_of(file))
        return locate(self._open[1], key)

    def _uids(self, account: AccountSpec) -> Mapping[str, int]:
        """The uids of the account's users that are not exempt, by user name. Raises RefusalError."""
        host, refused = self.context.host, ""
        uids: dict[str, int] = {}
        for index, name in enumerate(account.users):
            user = self.context.people.by_name(name)
            uid = user.uid if user else self._uid_as_it_was(account, name, index)
            if uid is None:
                refused = refused or self._why_unresolved(account, name)
                continue
            self.named.add(uid)
            if not host.first_uid <= uid <= host.last_uid:
                text = f"is {excerpt(name)} with uid {uid}; expected a uid from {host.first_uid} to {host.last_uid}"
                self.complain(account.file, user_key(account, index), text)
                refused = refused or f"the uid {uid} of {name} is out of range"
            elif uid in self.context.exempt:
                text = f"is {excerpt(name)}, who is exempt: never confined, whatever an account says"
                self.complain(account.file, user_key(account, index), text, warning=True)
            else:
                uids[name] = uid
        if refused:
            raise RefusalError(refused)
        return uids

    def _warn_exempt_owner(
        self,
        account: AccountSpec,
        uids: Mapping[str, int],
        services: Iterable[Service],
        *,
        has_view: bool,
        has_disk: bool,
    ) -> None:
        """Warns of the parts of an account that have no effect because its owner is exempt."""
        programs = [service.name for service in services if service.work.run]
        idle = [f"no service runs ({', '.join(programs)})"] if programs else []
        if not uids:
            parts = (("view", has_view), ("disk quota", has_disk), ("private address", bool(self.context.host.network)))
            idle += [f"it has no {name}" for name, wanted in parts if wanted]
        if idle:
            key = "owner" if account.owner != account.name or account.users != (account.name,) else "account"
            text = f"is {excerpt(account.owner)}, who is exempt: {'; '.join(idle)}; take the user out of users.exempt"
            self.complain(account.file, key, f"{text} of config.yaml, or name another owner", warning=True)

    def _uid_as_it_was(self, account: AccountSpec, name: str, index: int) -> int | None:
        """The uid that a user who cannot be looked up had; None where there is none, or another account claims it."""
        holder, key = self.context.holder(account.name, name), user_key(account, index)
        if holder is None:
            text = f"is {excerpt(name)}, who is no user of this machine; make the user, or take the name out"
            self.complain(account.file, key, text)
            return None
        warning = holder.state in (State.UNKNOWN, State.RENAMED)
        self.complain(account.file, key, holder.text(name, account.users, account.owner), warning=warning)
        if holder.state is State.TAKEN:
            return None
        self.unresolved[account.name] = holder.reason(name)
        return holder.uid

    def _why_unresolved(self, account: AccountSpec, name: str) -> str:
        holder = self.context.holder(account.name, name)
        return holder.reason(name) if holder else f"the user {name} cannot be resolved"

    def _addresses(self, account: AccountSpec, uids: Mapping[str, int], network: NetworkConfig) -> tuple[str, ...]:
        """IPv4, then IPv6; () where every user is exempt. Raises RefusalError where there is no address for it."""
        if self._addresses_of is None:
            from paas_isolate.spec.addresses import (
                AddressAllocator,
            )  # not imported without `network:`

            self._addresses_of = AddressAllocator(self.context.host, network).addresses
        uid = uids.get(account.owner, min(uids.values(), default=0))  # an owner may be exempt
        try:
            return self._addresses_of(account.address, uid) if uid else ()
        except ValueError as wrong:
            self.complain(account.file, "address" if account.address else user_key(account, 0), str(wrong))
            raise RefusalError(f"it has no address: {wrong}") from None

    def _home(self, account: AccountSpec) -> str:
        """The owner's home; that in the last good copy where the owner cannot be looked up; else ''."""
        if user := self.context.people.by_name(account.owner):
            return user.home
        copy = self.context.last_good(account.name)
        return copy.home if copy else ""

    def _directory(self, account: AccountSpec) -> str:
        """The cgroup directory of a renamed account. The kernel cannot rename a cgroup, so it keeps its first name."""
        copy = self.context.last_good(account.name) or self.context.last_good(account.renamed_from)
        return copy.directory if copy else account.renamed_from

    def _plan(self, account: AccountSpec, name: str) -> Plan:
        """Raises RefusalError where there is no such plan, or its file cannot be used."""
        if plan := self.context.plans.get(name):
            return plan
        if name not in self.context.wrong_plans:
            known = ", ".join(sorted(self.context.plans)[:10]) or "a file in plans.d"
            text = f"is {excerpt(name)}, and there is no such plan; expected {known}"
            if account.plan:
                self.complain(account.file, "plan", text)
            else:
                self.complain(CONFIG, "default_plan", text)
        raise RefusalError(f"its plan {name} cannot be used")

    def _merge(self, account: AccountSpec, plan: Plan | None) -> _Merged:
        if account.limits or account.services:
            return self._merge_uncached(account, plan)
        key = plan.name if plan else None
        if key not in self._plain:
            self._plain[key] = self._merge_uncached(account, plan)
        return self._plain[key]

    def _merge_uncached(self, account: AccountSpec, plan: Plan | None) -> _Merged:
        limits = merge_limits(plan.limits if plan else {}, account.limits)
        services = merge_services(plan.services if plan else (), account.services)
        refused = ""
        for conflict in (*conflicts(limits, services, self.context.machine), *work_conflicts(services)):
            self._complain_of(conflict, account, plan)
            if not conflict.warning:
                refused = refused or f"{conflict.keys[0]} {conflict.text}"
        return _Merged(limits, services, has_placeholders(services), refused)

    def _complain_of(self, conflict: Conflict, account: AccountSpec, plan: Plan | None) -> None:
        """Complains in the account's file where one of the keys is there, else in the plan's; names both files."""
        files = {key: account.file if plan is None or _says(account, key) else plan.file for key in conflict.keys}
        at = next((key for key, file in files.items() if file == account.file), conflict.keys[0])
        elsewhere = "".join(f" ({key} is in {file})" for key, file in files.items() if file != files[at])
        self.complain(files[at], conflict.keys[0], conflict.text + elsewhere, at=at, warning=conflict.warning)


def _loopback(plan: Plan | None, account: AccountSpec) -> str:
    loopback = account.loopback or (plan.loopback if plan else "")
    return "" if loopback == "own" else loopback


def _has_view(plan: Plan | None, account: AccountSpec) -> bool:
    return bool(account.private or account.hide or (plan and (plan.private or plan.hide)))


def _egress(plan: Plan | None, account: AccountSpec) -> tuple[str, ...]:
    egress = account.egress or (plan.egress if plan else ())
    return () if egress == ANYWHERE else egress


def user_key(account: AccountSpec, index: int) -> str:
    """The key path of a user; `users` where the file does not have it, or says only the default."""
    return f"users[{index}]" if account.users != (account.name,) else "users"


def _says(account: AccountSpec, key: str) -> bool:
    """Whether the account's own file has this key path of a limit or of a service."""
    if key.startswith("limits."):
        return key.removeprefix("limits.") in account.limits
    _, name, own, *limit = key.split(".", 3)
    services = [service for service in account.services if service.name == name]
    if limit:
        return any(limit[0] in service.limits for service in services)
    return any(getattr(service.work, own, None) or getattr(service, own, None) for service in services)
