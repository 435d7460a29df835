"""Logging in and out."""

import asyncio
import time
from collections.abc import Mapping
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paas_isolate.web.link import AskError, LinkClosedError
from paas_isolate.web.logins import Login, TooManyError
from paas_isolate.web.pages.base import post, read_form, redirect, render
from paas_isolate.web.site import Password, Site, TooOftenError, WrongError, site_of

PAUSE = 2.0
"""Seconds after which a login that fails is answered, whatever it failed for."""
_CLOSED = "Nobody can be logged in now: the daemon does not answer. Try again in a minute."
_BUSY = "Too many logins were tried. Try again in a minute."


async def show(request: Request) -> Response:
    """Who has logged in has nothing to do here."""
    if site_of(request).login_of(request):
        return redirect("/")
    return _page(request, wanted=request.query_params.get("next", ""))


async def log_in(request: Request) -> Response:
    site, begun = site_of(request), time.monotonic()
    fields = await read_form(request)
    if site.is_foreign(request):
        raise HTTPException(403, "This form is not of this site. Open the page again.")
    try:
        number = await _begin(site, fields, site.address_of(request))
    except WrongError as error:
        await asyncio.sleep(max(0.0, begun + PAUSE - time.monotonic()))
        return _page(request, 403, str(error), fields)
    except (TooOftenError, TooManyError):
        return _page(request, 429, _BUSY, fields)
    except LinkClosedError:
        return _page(request, 503, _CLOSED, fields)
    except AskError as error:
        return _page(request, 503, error.words, fields)
    await site.logins.end(request.cookies.get(site.cookie, ""))
    answer = redirect(_own_path(fields.get("next", "")))
    answer.set_cookie(site.cookie, number, path="/", secure=site.secure, httponly=True, samesite="strict")
    return answer


async def _begin(site: Site, fields: Mapping[str, str], address: str) -> str:
    user, link = await site.log_in(Password(fields.get("user", ""), fields.get("password", "")), address)
    try:
        return await site.logins.begin(Login.of(user, link, await link.ask("who"), address))
    except BaseException:
        await link.close()
        raise


async def log_out(request: Request, _: Login) -> Response:
    site = site_of(request)
    await site.logins.end(request.cookies.get(site.cookie, ""))
    answer = redirect("/login")
    answer.delete_cookie(site.cookie, path="/", secure=site.secure, httponly=True, samesite="strict")
    answer.headers["clear-site-data"] = '"cache"'
    return answer


def routes() -> list[Route]:
    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        post("/logout", log_out),
    ]


def _page(
    request: Request, status: int = 200, words: str = "", fields: Mapping[str, str] | None = None, wanted: str = ""
) -> Response:
    fields = fields or {"next": wanted}
    user, wanted = fields.get("user", ""), _own_path(fields.get("next", ""))
    return render(request, "login.html", status, words=words, user=user, wanted=wanted)


def _own_path(path: str) -> str:
    r"""A page of this site, for the redirect; '/' for all else: a browser reads `//host` and `/\host` as another
    site."""
    plain = unquote(path)
    if not plain.startswith("/") or plain.startswith("//") or "\\" in plain or not plain.isprintable():
        return "/"
    return path if path.isascii() else "/"
