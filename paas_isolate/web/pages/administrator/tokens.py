"""The tokens of the interface: who has which, and their end. They are made by a command, which prints the secret."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.control.table import BY_NAME
from paas_isolate.web.filters import moment
from paas_isolate.web.logins import Login
from paas_isolate.web.pages.base import done, get, post, render

PATH = "/tokens"
(_ID,) = (parameter for parameter in BY_NAME["revoke"].parameters if parameter.name == "token")


async def tokens(request: Request, login: Login) -> Response:
    told = await login.link.ask("tokens")
    return render(request, "administrator/tokens.html", rows=[_row(token) for token in told["rows"]])


def _row(token: Mapping[str, Any]) -> dict[str, Any]:
    accounts, ends = token["accounts"], token["expires"]
    return {
        "id": token["id"],
        "name": token["name"],
        "scope": token["scope"],
        "accounts": "all" if accounts is None else ", ".join(accounts),
        "made": moment(token["created"]),
        "ends": "never" if ends is None else moment(ends),
    }


async def ask_to_revoke(request: Request, _: Login) -> Response:
    token = _id_in(request)
    return render(
        request,
        "administrator/confirm.html",
        heading=f"Revoke token {token}",
        consequences=[
            "Whoever uses it is refused from now on.",
            "It cannot be had back: a new one has another secret.",
        ],
        action=f"{PATH}/{token}/revoke",
        fields={},
        button="Revoke",
        back=PATH,
    )


async def revoke(request: Request, login: Login) -> Response:
    token = _id_in(request)
    await login.link.ask("revoke", options={"token": token})
    return done(login, PATH, f"Token {token} was revoked.")


def _id_in(request: Request) -> str:
    token: str = request.path_params["token"]
    if not re.fullmatch(_ID.pattern, token, re.ASCII):
        raise HTTPException(404, "There is no such token.")
    return token


def routes() -> list[BaseRoute]:
    return [
        get(PATH, tokens, administrator=True),
        get(f"{PATH}/{{token}}/revoke", ask_to_revoke, administrator=True),
        post(f"{PATH}/{{token}}/revoke", revoke, administrator=True),
    ]
