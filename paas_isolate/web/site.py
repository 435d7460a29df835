"""What all pages and the interface share: who asks, where from, and through which connection to the daemon."""

from collections.abc import Awaitable
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from paas_isolate.web.link import Link
from paas_isolate.web.logins import Login, Logins

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""
CSRF_HEADER = "x-csrf-token"


class Password(NamedTuple):
    user: str
    password: str


class Token(NamedTuple):
    token: str


class WrongError(Exception):
    """The password or the token is wrong, or that user may not log in here. The words are for that user."""


class OpenLink(Protocol):
    def __call__(self, credentials: Password | Token, address: str) -> Awaitable[tuple[str, Link]]:
        """The user's name, and their connection. `address` is where they come from, '' where that is unknown.
        WrongError where it is refused, LinkClosedError where nobody is there to ask."""
        ...


class Site:
    """`secure`: browsers come by TLS. `trusts_proxy`: X-Forwarded-For is of our own proxy."""

    def __init__(self, open_link: OpenLink, *, secure: bool, trusts_proxy: bool = False) -> None:
        self.open_link, self.secure, self.trusts_proxy = open_link, secure, trusts_proxy
        self.logins = Logins()

    @property
    def cookie(self) -> str:
        """A browser takes a name with this prefix only from this host itself, by TLS (RFC 6265bis, 4.1.3.2)."""
        return "__Host-paas-isolate" if self.secure else "paas-isolate"

    def login_of(self, request: Request) -> Login | None:
        return self.logins.find(request.cookies.get(self.cookie, ""))

    def address_of(self, request: Request) -> str:
        if self.trusts_proxy:  # the last is the one that our proxy has added
            return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return request.client.host if request.client else ""

    def is_foreign(self, request: Request) -> bool:
        """Whether a page of another site has made the request."""
        if (origin := request.headers.get("origin")) is None:
            return request.headers.get("sec-fetch-site", "same-origin") != "same-origin"
        parts = urlsplit(origin)
        return parts.netloc != request.headers.get("host") or (self.secure and parts.scheme != "https")

    async def find_link(self, request: Request) -> Link:
        """The connection of the token or the login that a request to the interface brings. HTTPException 401 without
        one, 403 where it may be forged."""
        login = self.login_of(request)
        if login is None:
            raise HTTPException(401, "log in, or send Authorization: Bearer TOKEN")
        forged = self.is_foreign(request) or login.is_forged(request.headers.get(CSRF_HEADER, ""))
        if request.method not in SAFE and forged:
            raise HTTPException(403, f"this needs the header {CSRF_HEADER} of a page, or a token")
        return login.link


def site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site
