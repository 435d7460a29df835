"""What an administrator does with an account: freeze, thaw, scale, remove, and a run for it alone."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from paas_isolate.web.logins import Login
from paas_isolate.web.pages.administrator.asking import name_in, options_of
from paas_isolate.web.pages.administrator.done import done, said
from paas_isolate.web.pages.base import form, get, post, render

_OF = "/accounts/{account}"


async def ask_to_freeze(request: Request, login: Login) -> Response:
    account = name_in(request)
    return render(
        request,
        "administrator/confirm.html",
        heading=f"Freeze {account}",
        consequences=[
            f"All processes of {account} stop where they are: sites no longer answer, mails and jobs wait.",
            "Logins are refused.",
            "It stays so, also after a reboot, until the account is thawed.",
        ],
        action=f"/accounts/{account}/freeze",
        fields={},
        button="Freeze",
        back=f"/accounts/{account}",
    )


async def freeze(request: Request, login: Login) -> Response:
    account = name_in(request)
    told = await login.link.ask("freeze", account)
    return done(request, f"/accounts/{account}", f"{account} is frozen.", *said(told))


async def thaw(request: Request, login: Login) -> Response:
    account = name_in(request)
    told = await login.link.ask("thaw", account)
    return done(request, f"/accounts/{account}", f"{account} goes on.", *said(told))


async def scale(request: Request, login: Login) -> Response:
    account = name_in(request)
    options = options_of("scale", form(request), "service", "replicas")
    told = await login.link.ask("scale", account, options)
    words = f"{options.get('service')}: {options.get('replicas')} replicas are wanted."
    return done(request, f"/accounts/{account}", words, *said(told))


async def ask_to_remove(request: Request, login: Login) -> Response:
    account = name_in(request)
    told = await login.link.ask("file", account)
    return render(
        request,
        "administrator/confirm.html",
        heading=f"Remove {account}",
        consequences=[
            f"The file accounts.d/{account}.yaml is removed.",
            "Its services are stopped, its limits are lifted and its addresses are given back once its last process has"
            " ended; until then its state is 'leaving', and the limits hold.",
            "Its user, home, mails and databases stay: they belong to the machine.",
            "What it used stays in the bill.",
        ],
        action=f"/accounts/{account}/remove",
        fields={"tag": told["tag"]},
        button="Remove",
        back=f"/accounts/{account}",
    )


async def remove(request: Request, login: Login) -> Response:
    account = name_in(request)
    told = await login.link.ask("remove", account, {"if-match": form(request).get("tag", "")})
    return done(request, "/accounts", f"The file of {account} was removed.", *said(told))


def routes() -> list[BaseRoute]:
    return [
        get(f"{_OF}/freeze", ask_to_freeze, administrator=True),
        post(f"{_OF}/freeze", freeze, administrator=True),
        post(f"{_OF}/thaw", thaw, administrator=True),
        post(f"{_OF}/scale", scale, administrator=True),
        get(f"{_OF}/remove", ask_to_remove, administrator=True),
        post(f"{_OF}/remove", remove, administrator=True),
    ]
