"""Unix users and groups, from the system's databases. See getpwnam(3), getgrnam(3), nsswitch.conf(5)."""

import grp
import pwd
from collections.abc import Iterable
from functools import cached_property

from paas_isolate.model.account import User


class HostUsers:
    """Users of this machine, each read once.

    The whole database is read in one pass, because getpwnam(3) reads /etc/passwd from its beginning at every call.
    Users that an enumeration does not show (LDAP, sssd without enumerate) are looked up one by one.
    """

    @cached_property
    def _users(self) -> dict[str, User]:
        return {user.name: user for user in map(_user, pwd.getpwall())}

    def by_name(self, name: str) -> User | None:
        """None when there is no such user."""
        if user := self._users.get(name):
            return user
        if name not in self._looked_up:
            self._looked_up[name] = _look_up(name)
        return self._looked_up[name]

    @cached_property
    def _looked_up(self) -> dict[str, User | None]:
        """Users that the enumeration does not show. Each is looked up once: a directory server that is down answers
        late."""
        return {}

    def names_of(self, uid: int) -> frozenset[str]:
        """The names of all users with this uid; empty when there is none."""
        try:
            shown = pwd.getpwuid(uid).pw_name
        except KeyError:
            return frozenset()
        return frozenset({shown, *self._names.get(uid, ())})

    @cached_property
    def _names(self) -> dict[int, list[str]]:
        """Made only when needed, in the few runs with a user that cannot be resolved."""
        names: dict[int, list[str]] = {}
        for user in self._users.values():
            names.setdefault(user.uid, []).append(user.name)
        return names

    def everyone(self) -> Iterable[User]:
        """All users that an enumeration shows."""
        return self._users.values()

    def members(self, group: str) -> frozenset[int]:
        """The uids of a group's members, by primary group too; empty when there is no such group."""
        try:
            entry = grp.getgrnam(group)
        except KeyError:
            return frozenset()
        listed = {user.uid for name in entry.gr_mem if (user := self.by_name(name))}
        return frozenset(listed | {user.uid for user in self._users.values() if user.gid == entry.gr_gid})


class UncachedUsers(HostUsers):
    """For the few users of one account: each is looked up at every call, which is faster than reading all users, and
    never outdated."""

    def by_name(self, name: str) -> User | None:
        return _look_up(name)


def login_of(uid: int) -> str:
    """The name of the user with this uid, the first one in the databases; the uid in digits when there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _look_up(name: str) -> User | None:
    try:
        return _user(pwd.getpwnam(name))
    except KeyError:
        return None


def _user(entry: pwd.struct_passwd) -> User:
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
