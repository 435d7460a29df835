"""Who has the uid of a user whose name no user of the machine has any more.

A uid belongs to the account whose file names a user with that uid. A uid alone does not say so, for several names may
share one. Where a name is gone, the uid that it had is in the account's last good copy.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cached_property
from typing import NamedTuple, Protocol

from paas_isolate.model.account import Account, AccountSpec, User
from paas_isolate.text import excerpt

NO_HOMES = ("", "/", "/nonexistent")
"""Homes that several users may have, so that they identify nobody."""


class Lookup(Protocol):
    """The part of UserDatabase that is needed here."""

    def by_name(self, name: str) -> User | None: ...

    def names_of(self, uid: int) -> frozenset[str]: ...


class State(Enum):
    """What became of a uid whose user name is gone."""

    UNKNOWN = "nobody has it now: the directory service may be down"
    RENAMED = "the same person has another name"
    DOUBTFUL = "somebody has it now, and nothing says that it is the same person"
    TAKEN = "another account names a user who has it now"


class Holder(NamedTuple):
    """`name` is the user name of the uid now, '' where it has none; `file` is that of the account that claims it."""

    uid: int
    state: State
    name: str = ""
    file: str = ""

    def text(self, user: str, users: tuple[str, ...], owner: str) -> str:
        """The complaint's text about `user`, which is one of `users` of an account that `owner` owns."""
        if self.state is State.UNKNOWN:
            return (
                f"is {excerpt(user)}, who cannot be resolved now; keeps uid {self.uid} (is the directory service down?)"
            )
        gone = f"is {excerpt(user)}, who is no user of this machine any more"
        if self.state is State.TAKEN:
            return f"{gone}: uid {self.uid} is {self.name}, of {self.file}; take the name out, or remove the file"
        called = f"{gone}; uid {self.uid} is now called {self.name}"
        renamed = dict.fromkeys(self.name if name == user else name for name in users)
        advice = f"write users: [{', '.join(renamed)}]"
        if owner == user and len(renamed) > 1:
            advice += f" and owner: {self.name}"
        if self.state is State.RENAMED:
            return f"{called}; {advice}"
        return f"{called}, who has another home: logins are refused; if it is the same person, {advice}"

    def reason(self, user: str) -> str:
        """Why the account stays on its last good copy."""
        if self.state is State.UNKNOWN:
            return f"the user {user} cannot be resolved; keeps uid {self.uid}"
        if self.state is State.TAKEN:
            return f"uid {self.uid} of {user} is claimed by {self.file}"
        called = f"uid {self.uid} of {user} is now called {self.name}"
        return called if self.state is State.RENAMED else f"{called}, perhaps another person: logins are refused"


class Holders:
    """Looks up holders. `accounts` are the accounts by their files as they are now; `copies` gives last good copies as
    they are on disk; `wrong` are the accounts whose files cannot be used."""

    def __init__(
        self,
        people: Lookup,
        accounts: Mapping[str, AccountSpec],
        copies: Callable[[str], Account | None],
        wrong: Iterable[str] = (),
    ) -> None:
        self._people, self._accounts, self._copies, self._wrong = people, accounts, copies, wrong
        self._known: dict[tuple[str, str], Holder | None] = {}

    def of(self, account: str, user: str) -> Holder | None:
        """The holder of the uid that `user` had in the account's copy; None where the copy does not have it. Each is
        looked up once: a directory service that is down answers slowly."""
        if (account, user) not in self._known:
            self._known[account, user] = self._look_up(account, user)
        return self._known[account, user]

    def _look_up(self, account: str, user: str) -> Holder | None:
        copy = self._copies(account)
        uid = copy.uids.get(user) if copy else None
        if copy is None or uid is None:
            return None
        names = self._people.names_of(uid)
        if not names or user in names:
            return Holder(uid, State.UNKNOWN)
        claims = self._claims.get(uid, {})
        if claims and account not in claims:
            other, name = next(iter(claims.items()))
            return Holder(uid, State.TAKEN, name, self._file(other))
        called = claims.get(account) or self._same_home(copy.home, names)
        return Holder(uid, State.RENAMED if called else State.DOUBTFUL, called or min(names))

    def home_differs(self, account: str, uid: int) -> bool:
        """Whether no user with this uid has the home that is in the account's copy."""
        copy = self._copies(account)
        return copy is None or not self._same_home(copy.home, self._people.names_of(uid))

    @cached_property
    def _claims(self) -> dict[int, dict[str, str]]:
        """By uid: the accounts that name a user who has it now, each with that name. Made when it is first needed."""
        named = [(name, user) for name, account in self._accounts.items() for user in account.users]
        copies = [copy for name in self._wrong if name not in self._accounts and (copy := self._copies(name))]
        named += [(copy.name, user) for copy in copies for user in copy.uids]
        claims: dict[int, dict[str, str]] = {}
        for account, user in named:
            if entry := self._people.by_name(user):
                claims.setdefault(entry.uid, {}).setdefault(account, user)
        return claims

    def _same_home(self, home: str, names: Iterable[str]) -> str:
        """The first of these users whose home is `home` or below it; else ''. usermod -l does not move a home."""
        if home in NO_HOMES:
            return ""
        for name in sorted(names):
            user = self._people.by_name(name)
            if user and (user.home == home or user.home.startswith(f"{home.rstrip('/')}/")):
                return name
        return ""

    def _file(self, account: str) -> str:
        spec = self._accounts.get(account)
        return spec.file if spec else f"accounts.d/{account}.yaml"
