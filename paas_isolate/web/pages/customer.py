"""The page of one account, for its customer and for administrators."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from paas_isolate.web.logins import Login
from paas_isolate.web.pages.base import get, redirect, render


async def home(_: Request, login: Login) -> Response:
    """An administrator without an account begins with all accounts."""
    return redirect("/accounts" if login.administrator else f"/accounts/{login.account}")


async def account(request: Request, login: Login) -> Response:
    name = request.path_params["account"]
    return render(request, "account.html", me=await login.link.ask("me", name))


def routes() -> list[Route]:
    return [get("/", home), get("/accounts/{account}", account)]
