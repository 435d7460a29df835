"""The application: its routes, what each answer carries, and what happens to errors."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute

from paas_isolate.web import api, assets, openapi
from paas_isolate.web.pages import administrator, customer, docs, login
from paas_isolate.web.site import OpenLink, Site
from paas_isolate.web.templates import environment

_SWEEP = 60.0
"""Seconds after which ended logins are looked for."""


def app(open_link: OpenLink, *, secure: bool, trusts_proxy: bool = False) -> Starlette:
    """`open_link` is helper_link's, or that of a test; `secure`: browsers come by TLS; `trusts_proxy`: X-Forwarded-For
    is of our own proxy."""
    site = Site(open_link, secure=secure, trusts_proxy=trusts_proxy)

    @asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        sweep = asyncio.create_task(_end_old(site))
        yield
        sweep.cancel()
        with suppress(asyncio.CancelledError):
            await sweep
        await site.end_all()

    made = Starlette(
        routes=routes(site),
        exception_handlers={HTTPException: _refused, Exception: _failed},
        lifespan=living,
    )
    made.state.site = site
    return made


def routes(site: Site) -> list[BaseRoute]:
    return [
        *assets.routes(),
        *login.routes(),
        *administrator.routes(),
        *customer.routes(),
        *docs.routes(),
        *openapi.routes(),
        *api.routes(site.find_link),
    ]


async def _end_old(site: Site) -> None:
    while True:
        await asyncio.sleep(_SWEEP)
        await site.end_old()


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(request, error.status_code, error.detail, dict(error.headers or {}))


async def _failed(request: Request, _: Exception) -> Response:
    return _error(request, 500, "An error of paas-isolate's own; the log has it.", {})


def _error(request: Request, status: int, words: str, headers: dict[str, str]) -> Response:
    if request.url.path.startswith("/v1"):  # RFC 9457
        problem = {"type": "about:blank", "title": words, "status": status}
        return JSONResponse(problem, status, headers, media_type="application/problem+json")
    text = environment().get_template("error.html").render(login=None, path="", said=(), words=words)
    return HTMLResponse(text, status, headers)
