"""Logging in and out."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paas_isolate.web.logins import Login
from paas_isolate.web.pages.base import read_form, redirect, render
from paas_isolate.web.site import Password, WrongError, site_of


async def show(request: Request) -> Response:
    return render(request, "login.html", words="", user="")


async def log_in(request: Request) -> Response:
    site = site_of(request)
    fields = await read_form(request)
    user, address = fields.get("user", ""), site.address_of(request)
    try:
        name, link = await site.open_link(Password(user, fields.get("password", "")), address)
    except WrongError as error:
        return render(request, "login.html", 403, words=str(error), user=user)
    number = await site.logins.begin(Login.of(name, link, await link.ask("who"), address))
    answer = redirect("/")
    answer.set_cookie(site.cookie, number, path="/", secure=site.secure, httponly=True, samesite="strict")
    return answer


def routes() -> list[Route]:
    return [Route("/login", show, methods=["GET"]), Route("/login", log_in, methods=["POST"])]
