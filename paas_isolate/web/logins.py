"""Who has logged in. Logins are in memory alone: a restart of this process ends them all.

The browser has an opaque id in a cookie; what is kept here is its hash. An id is made at each login and never taken
from a browser, so nobody can fix it before. It ends after IDLE seconds without a request, and ABSOLUTE seconds after
the login (OWASP Session Management Cheat Sheet).
"""

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from paas_isolate.web.link import Link

IDLE, ABSOLUTE = 30 * 60.0, 12 * 60 * 60.0
"""Seconds without a request, and seconds in all, after which a login ends."""
OF_USER, OF_ALL = 6, 500
"""Logins at once of one user (the daemon keeps eight connections of one uid), and of all."""


@dataclass(slots=True)
class Login:
    """`account` is the customer's own, None where there is none; `scope` is what may be done: read, operate or
    administer. `csrf` must come with each request that changes something. `started` and `seen` are on the monotonic
    clock."""

    user: str
    link: Link
    account: str | None = None
    administrator: bool = False
    suspended: bool = False
    scope: str = "administer"
    address: str = ""
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    started: float = 0.0
    seen: float = 0.0
    said: tuple[str, ...] = ()
    """What was done, for the next page to say."""
    looked: dict[str, tuple[float, int]] = field(default_factory=dict)
    """By account: when this login looked last (monotonic clock), and its CPU time then (microseconds)."""

    def is_forged(self, token: str) -> bool:
        """Whether a request with this token was not made by a page of this login."""
        return not hmac.compare_digest(token.encode(errors="replace"), self.csrf.encode())

    @classmethod
    def of(cls, user: str, link: Link, who: Mapping[str, Any], address: str) -> "Login":
        """`who` is what the daemon answers to the verb of this name."""
        return cls(
            user,
            link,
            account=who.get("account"),
            administrator=bool(who.get("administrator")),
            suspended=bool(who.get("suspended")),
            scope=str(who.get("scope", "read")),
            address=address,
        )


class TooManyError(Exception):
    """There are as many logins as may be."""


class Logins:
    """`clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logins: dict[bytes, Login] = {}

    def __len__(self) -> int:
        return len(self._logins)

    async def begin(self, login: Login) -> str:
        """The id of a new login. The oldest login of a user who has many ends; TooManyError where all together have as
        many as may be."""
        await self.end_old()
        own = [key for key, each in self._logins.items() if each.user == login.user]
        if len(own) >= OF_USER:
            await self._end(own[0])
        elif len(self._logins) >= OF_ALL:
            raise TooManyError
        login.started = login.seen = self._clock()
        number = secrets.token_urlsafe(32)
        self._logins[_key(number)] = login
        return number

    def find(self, number: str) -> Login | None:
        """The login of this id, which is used now."""
        login = self._logins.get(_key(number))
        if login is None or self._is_over(login):
            return None
        login.seen = self._clock()
        return login

    async def end(self, number: str) -> None:
        """Log out: the connection is closed, and the id is worth nothing any more."""
        await self._end(_key(number))

    async def end_old(self) -> None:
        """End those whose time is over."""
        for key in [key for key, login in self._logins.items() if self._is_over(login)]:
            await self._end(key)

    async def end_all(self) -> None:
        for key in list(self._logins):
            await self._end(key)

    async def _end(self, key: bytes) -> None:
        if (login := self._logins.pop(key, None)) is not None:
            await login.link.close()

    def _is_over(self, login: Login) -> bool:
        now = self._clock()
        return now - login.seen > IDLE or now - login.started > ABSOLUTE


def _key(number: str) -> bytes:
    return sha256(number.encode(errors="replace")).digest()
