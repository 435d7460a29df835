"""One account's file, read as it is now, with the plan that it names: what the daemon reads when one file is saved."""

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
    """Plans are kept in mind by their files' identity: thousands of accounts name a few."""

    def __init__(self, directory: SpecDirectory) -> None:
        import paas_isolate.spec.parse  # noqa: F401  (for the first edit not to wait for it)

        self._directory = directory
        self._plans: dict[str, _Known] = {}

    def account(self, name: str) -> AccountSpec | None:
        """None where the file is gone, cannot be used, or anything is to be said about it."""
        found = self._read(ACCOUNTS, name, ACCOUNT)
        return found[0] if found else None

    def sold(
        self,
        name: str,
        fleet: Fleet,
        tied: Dependencies,
        people: UserDatabase,
        machine: Machine,
        owner_of: Callable[[Claim], str],
    ) -> Account | None:
        """What an account gets by its file as it is now, as `sold_alone` has it."""
        account = self.account(name)
        if account is None or account.name != name:
            return None
        named = account.plan or fleet.host.default_plan
        plan = self.plan(named) if named else None
        return resolve_alone(fleet, tied, account, {named: plan} if named and plan else {}, people, machine, owner_of)

    def there(self, name: str) -> bool:
        """Whether the account has a file at all."""
        return os.path.lexists(os.path.join(self._directory.etc, ACCOUNTS, name + END))

    def plan(self, name: str) -> Plan | None:
        known = self._plans.get(name)
        if known and known.identity == self._identity(name):
            return known.plan
        self._plans.pop(name, None)
        found = self._read(PLANS, name, PLAN)
        if found is None:
            return None
        plan, read_as = found
        if read_as:
            self._plans[name] = _Known(read_as, plan)
        return plan  # type: ignore[no-any-return]

    def _read(self, directory: str, name: str, kind: DocumentKind) -> tuple[Any, Identity | None] | None:
        try:
            with self._directory.opened(directory) as files:
                now = time.time_ns()
                data, read_as = files.read(name + END)
        except (OSError, UnfitError):
            return None
        try:
            thing = kind.parse(data, f"{directory}/{name}{END}")
        except SpecError:
            return None
        return thing, read_as if settled(read_as, now) else None

    def _identity(self, name: str) -> Identity | None:
        try:
            return identity(os.stat(os.path.join(self._directory.etc, PLANS, name + END), follow_symlinks=False))
        except OSError:
            return None


def account_of(path: str, etc: str) -> str:
    """The name of the account whose file this is; '' for any other file."""
    directory, _, file = path.rpartition("/")
    name = file.removesuffix(END)
    return name if directory == os.path.join(etc, ACCOUNTS) and file.endswith(END) and is_name(name) else ""
