"""Unix users and groups, through the system's own databases. See getpwnam(3), nsswitch.conf(5)."""

import grp
import pwd
from collections.abc import Iterable
from functools import cached_property

from paas_isolate.model.account import User


class HostUsers:
    """Users of this machine, read once a run.

    The whole database is read in one pass, for getpwnam reads /etc/passwd from its beginning at every call;
    names that an enumeration does not show (LDAP, sssd without enumerate) are asked for one by one.
    """

    @cached_property
    def _users(self) -> dict[str, User]:
        return {it.name: it for it in map(_user, pwd.getpwall())}

    def by_name(self, name: str) -> User | None:
        if found := self._users.get(name):
            return found
        if name not in self._asked:
            self._asked[name] = _asked(name)
        return self._asked[name]

    @cached_property
    def _asked(self) -> dict[str, User | None]:
        """Whom the enumeration does not show is asked for once a run: a directory that is down takes its time."""
        return {}

    def names_of(self, uid: int) -> frozenset[str]:
        """All logins with this uid; empty when it is nobody's."""
        try:
            shown = pwd.getpwuid(uid).pw_name
        except KeyError:
            return frozenset()
        return frozenset({shown, *self._names.get(uid, ())})

    @cached_property
    def _names(self) -> dict[int, list[str]]:
        """Made only for the few runs in which somebody cannot be resolved."""
        names: dict[int, list[str]] = {}
        for user in self._users.values():
            names.setdefault(user.uid, []).append(user.name)
        return names

    def everyone(self) -> Iterable[User]:
        return self._users.values()

    def members(self, group: str) -> frozenset[int]:
        """The uids of a group's members, by primary group too; empty where there is no such group."""
        try:
            found = grp.getgrnam(group)
        except KeyError:
            return frozenset()
        listed = {user.uid for name in found.gr_mem if (user := self.by_name(name))}
        return frozenset(listed | {user.uid for user in self._users.values() if user.gid == found.gr_gid})


class UncachedUsers(HostUsers):
    """The same for the few users of one account, each asked for: that is quicker than to read all, and never old."""

    def by_name(self, name: str) -> User | None:
        return _asked(name)


def login_of(uid: int) -> str:
    """The login with this uid, the first that the databases name; the uid itself in digits where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _asked(name: str) -> User | None:
    try:
        return _user(pwd.getpwnam(name))
    except KeyError:
        return None


def _user(entry: pwd.struct_passwd) -> User:
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
