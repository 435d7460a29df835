"""Reads the file of one account and of its plan. The daemon does so when one file is saved."""

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from paas_isolate.errors import SpecError
from paas_isolate.model.account import Account, AccountSpec, Fleet, Plan
from paas_isolate.model.machine import Machine
from paas_isolate.source.directory import ACCOUNTS, END, PLANS, SpecDirectory
from paas_isolate.source.files import Identity, UnfitError, identity, settled
from paas_isolate.source.spec_reader import ACCOUNT, PLAN, DocumentKind
from paas_isolate.spec.claims import Claim
from paas_isolate.spec.names import is_name
from paas_isolate.spec.resolve import UserDatabase
from paas_isolate.spec.resolve_alone import Dependencies, resolve_alone


class _Known(NamedTuple):
    identity: Identity
    plan: Plan


class AccountReader:
    """Reads one account at a time. Caches plans by the identity of their files: thousands of accounts share a few."""

    def __init__(self, directory: SpecDirectory) -> None:
        import paas_isolate.spec.parse  # noqa: F401  (imported now, so that the first edit does not wait for it)

        self._directory = directory
        self._plans: dict[str, _Known] = {}

    def account(self, name: str) -> AccountSpec | None:
        """What the account's file says now. None where the file is gone, untrusted, unreadable or wrong."""
        parsed = self._read(ACCOUNTS, name, ACCOUNT)
        return parsed[0] if parsed else None

    def sold(
        self,
        name: str,
        fleet: Fleet,
        tied: Dependencies,
        people: UserDatabase,
        machine: Machine,
        owner_of: Callable[[Claim], str],
    ) -> Account | None:
        """The account resolved from its file as it is now. The other arguments, and None, are as in `resolve_alone`."""
        account = self.account(name)
        if account is None or account.name != name:
            return None
        plan_name = account.plan or fleet.host.default_plan
        plan = self.plan(plan_name) if plan_name else None
        plans = {plan_name: plan} if plan_name and plan else {}
        return resolve_alone(fleet, tied, account, plans, people, machine, owner_of)

    def there(self, name: str) -> bool:
        """Whether there is a file (or anything else) at the path of the account's file."""
        return os.path.lexists(os.path.join(self._directory.etc, ACCOUNTS, name + END))

    def plan(self, name: str) -> Plan | None:
        """The plan of this name, from the cache while its file is the same. None as in `account`."""
        known = self._plans.get(name)
        if known and known.identity == self._identity(name):
            return known.plan
        self._plans.pop(name, None)
        parsed = self._read(PLANS, name, PLAN)
        if parsed is None:
            return None
        plan, trusted = parsed
        if trusted:
            self._plans[name] = _Known(trusted, plan)
        return plan  # type: ignore[no-any-return]

    def _read(self, directory: str, name: str, kind: DocumentKind) -> tuple[Any, Identity | None] | None:
        """The model, and the file's identity where every later change must show in it."""
        try:
            with self._directory.opened(directory) as files:
                now = time.time_ns()
                data, read_as = files.read(name + END)
        except (OSError, UnfitError):
            return None
        try:
            model = kind.parse(data, f"{directory}/{name}{END}")
        except SpecError:
            return None
        return model, read_as if settled(read_as, now) else None

    def _identity(self, name: str) -> Identity | None:
        try:
            return identity(os.stat(os.path.join(self._directory.etc, PLANS, name + END), follow_symlinks=False))
        except OSError:
            return None


def account_of(path: str, etc: str) -> str:
    """The account's name where `path` is ETC/accounts.d/NAME.yaml; '' for any other path."""
    directory, _, file = path.rpartition("/")
    name = file.removesuffix(END)
    return name if directory == os.path.join(etc, ACCOUNTS) and file.endswith(END) and is_name(name) else ""
