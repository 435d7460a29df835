"""What all pages and the interface share: who asks, where from, and through which connection to the daemon."""

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from paas_isolate.web.link import Link, LinkClosedError
from paas_isolate.web.logins import Login, Logins
from paas_isolate.web.tokens import FullError, TokenLinks
from paas_isolate.web.tries import Tries

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""
CSRF_HEADER = "x-csrf-token"
_AT_ONCE = 8
"""Logins that are being tried at once. Each is a process of root's, which waits where a password was wrong."""
_WAIT = 10.0
"""Seconds that a login waits for its turn."""


class Password(NamedTuple):
    user: str
    password: str

    def __repr__(self) -> str:
        """Without the password: it would be in a traceback."""
        return f"Password({self.user!r}, …)"


class Token(NamedTuple):
    token: str

    def __repr__(self) -> str:
        return "Token(…)"


class WrongError(Exception):
    """The password or the token is wrong, or that user may not log in here. The words are for that user."""


class TooOftenError(Exception):
    """Too many logins were tried."""


class OpenLink(Protocol):
    def __call__(self, credentials: Password | Token, address: str) -> Awaitable[tuple[str, Link]]:
        """The user's name, and their connection. `address` is where they come from, '' where that is unknown.
        WrongError where it is refused, LinkClosedError where nobody is there to ask."""
        ...


class Site:
    """`secure`: browsers come by TLS. `trusts_proxy`: X-Forwarded-For is of our own proxy."""

    def __init__(self, open_link: OpenLink, *, secure: bool, trusts_proxy: bool = False) -> None:
        self._open_link, self.secure, self._trusts_proxy = open_link, secure, trusts_proxy
        self.logins, self.tokens, self._tries = Logins(), TokenLinks(), Tries()
        self._turns: asyncio.Semaphore | None = None

    @property
    def cookie(self) -> str:
        """A browser takes a name with this prefix only from this host itself, by TLS (RFC 6265bis, 4.1.3.2)."""
        return "__Host-paas-isolate" if self.secure else "paas-isolate"

    def login_of(self, request: Request) -> Login | None:
        return self.logins.find(request.cookies.get(self.cookie, ""))

    def address_of(self, request: Request) -> str:
        """Where the request comes from; '' where that is unknown."""
        if self._trusts_proxy:  # the last is the one that our proxy has added
            return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return request.client.host if request.client else ""

    def is_foreign(self, request: Request) -> bool:
        """Whether a page of another site has made the request. Browsers name the origin of every form that is sent, if
        the policy of referrers allows it (Fetch, "append a request Origin header"); other clients need not."""
        if (origin := request.headers.get("origin")) is None:
            return request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        parts = urlsplit(origin)
        wrong_scheme = self.secure and parts.scheme != "https"
        return wrong_scheme or parts.netloc.lower() != request.headers.get("host", "").lower()

    async def log_in(self, credentials: Password | Token, address: str) -> tuple[str, Link]:
        """As OpenLink, and TooOftenError before anybody is asked."""
        if not self._tries.take(address):
            raise TooOftenError
        turns = self._turns = self._turns or asyncio.Semaphore(_AT_ONCE)  # Python 3.11 binds it to the running loop
        try:
            async with asyncio.timeout(_WAIT):
                await turns.acquire()
        except TimeoutError:
            raise TooOftenError from None
        try:
            opened = await self._open_link(credentials, address)
        finally:
            turns.release()
        self._tries.give_back(address)
        return opened

    async def find_link(self, request: Request) -> Link:
        """The connection of the token or the login that a request to the interface brings. HTTPException 401 without
        one, 403 where it may be forged, 429 after too many tries, 503 where nobody can be asked."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._of_token(token.strip(), self.address_of(request))
        if scheme:
            raise HTTPException(401, "send Authorization: Bearer TOKEN")
        login = self.login_of(request)
        if login is None:
            raise HTTPException(401, "log in, or send Authorization: Bearer TOKEN")
        forged = self.is_foreign(request) or login.is_forged(request.headers.get(CSRF_HEADER, ""))
        if request.method not in SAFE and forged:
            raise HTTPException(403, f"this needs the header {CSRF_HEADER} of a page, or a token")
        return login.link

    async def _of_token(self, token: str, address: str) -> Link:
        async def opened() -> Link:
            _, link = await self.log_in(Token(token), address)
            return link

        try:
            link = await self.tokens.find(token, opened)
        except WrongError as error:
            raise HTTPException(401, str(error)) from None
        except (TooOftenError, FullError):
            raise HTTPException(429, "too many tries: try again later", {"retry-after": "10"}) from None
        except LinkClosedError:
            raise HTTPException(503, "the login helper does not answer", {"retry-after": "2"}) from None
        if link.is_closed:
            self.tokens.forget(link)
            raise HTTPException(503, "the daemon was restarted: try again", {"retry-after": "1"})
        return link

    async def end_old(self) -> None:
        await self.logins.end_old()
        await self.tokens.end_old()

    async def end_all(self) -> None:
        await self.logins.end_all()
        await self.tokens.end_all()


def site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site
